package weirinterop;

import java.util.Objects;

/** One line for each fact, {@code ok} or {@code FAIL}. */
final class Facts {
  private static boolean failed;

  private Facts() {}

  /** Something that throws unless it is true of Weir. */
  interface Fact {
    void check() throws Exception;
  }

  static void attempt(String text, Fact fact) {
    try {
      fact.check();
      System.out.println("ok " + text);
    } catch (Exception | AssertionError thrown) {
      failed = true;
      System.out.println("FAIL " + text + ": " + thrown.toString().replaceAll("\\s+", " "));
    }
  }

  /** Ends the process, with 1 when a fact has failed. */
  static void close() {
    System.exit(failed ? 1 : 0);
  }

  static void same(Object found, Object wanted) {
    if (!Objects.equals(found, wanted)) {
      throw new AssertionError(found + " instead of " + wanted);
    }
  }

  static void holds(boolean condition, String what) {
    if (!condition) {
      throw new AssertionError(what);
    }
  }
}
