"""What the programs here share: where Weir is, and one line a fact, `ok` or `FAIL`."""

import os
import sys
import time

ADDRESS = os.environ["WEIR_ADDRESS"]
KEY = os.environ["WEIR_KEY"]
ADMIN_KEY = os.environ["WEIR_ADMIN_KEY"]
TEXT = "naïve façade, 日本語, 🌊"

_facts = []


def fact(text):
    """Registers a function that raises unless `text` is true of Weir."""

    def register(function):
        _facts.append((text, function))
        return function

    return register


def prove():
    """Tries every fact, in order; the process fails when one of them does."""
    failed = False
    for text, function in _facts:
        try:
            function()
        except Exception as error:
            failed = True
            told = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAIL {text}: line {find_line(error)}: {told}", flush=True)
        else:
            print(f"ok {text}", flush=True)
    sys.exit(1 if failed else 0)


def find_line(error):
    """Line of the fact's own file where it failed."""
    line, step = 0, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == sys.argv[0]:
            line = step.tb_lineno
        step = step.tb_next
    return line


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def eventually(ask, seconds=5.0):
    """The first answer of `ask` that is true; raises after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s; the last answer was {answer!r}")
        time.sleep(0.02)
