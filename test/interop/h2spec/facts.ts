/**
 * Runs h2spec, which the variable H2SPEC names, against a Weir of its own that is started here, by
 * TLS when `--tls` is given. Prints a line for each of its cases.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificate } from "../../ingress/certificate.ts";
import { runBounded } from "../bounded.ts";
import { startWeir } from "../start-weir.ts";

const H2SPEC_MS = 120_000;
/** For one case, in seconds; a busy machine may need more than the default of two. */
const CASE_SECONDS = "20";
/**
 * A port without TLS serves HTTP/1.1 too, and takes what does not begin as HTTP/2 for that: it
 * answers in words that are no frames, and closes.
 */
const NOT_WITHOUT_TLS = "http2/3.5: Sends invalid connection preface";

const tls = process.argv.includes("--tls");
const directory = mkdtempSync(join(tmpdir(), "weir-interop-h2spec-"));
try {
  const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  writeFileSync(cert, certificate.cert);
  writeFileSync(key, certificate.key);
  const weir = await startWeir(tls ? { cert, key } : undefined);
  await runCases(weir.env.WEIR_ADDRESS ?? "", join(directory, "report.xml"));
  for (const fault of await weir.stop()) console.log(`FAIL weir: ${fault}`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function runCases(address: string, report: string): Promise<void> {
  const [host = "", port = ""] = address.split(":");
  const where = ["--host", host, "--port", port, "--path", "/healthz"];
  const how = ["--strict", "--timeout", CASE_SECONDS, "--junit-report", report];
  const secure = tls ? ["--tls", "--insecure"] : [];
  const { code, output } = await runBounded(
    [process.env.H2SPEC ?? "h2spec", ...where, ...how, ...secure],
    { timeoutMs: H2SPEC_MS },
  );
  // It ends with 1 when a case has failed.
  if (code !== 0 && code !== 1)
    throw new Error(`h2spec ended with ${code ?? "no code"}: ${output}`);
  for (const { name, fault } of listCases(readFileSync(report, "utf8"))) {
    if (!tls && name === NOT_WITHOUT_TLS) continue;
    console.log(fault === "" ? `ok ${name}` : `FAIL ${name}: ${fault}`);
  }
}

interface Case {
  readonly name: string;
  /** Why it failed or was skipped, on one line; "" when it passed. */
  readonly fault: string;
}

/** The cases in a report, which is XML of the plainest kind. */
function* listCases(xml: string): Generator<Case> {
  const cases = /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g;
  for (const [, where, what, inside = ""] of xml.matchAll(cases)) {
    const fault = inside.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
    const isFault = inside.trim() !== "";
    yield { name: `${where}: ${what}`, fault: isFault ? fault.trim() || "skipped" : "" };
  }
}
