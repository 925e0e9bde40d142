import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, request } from "undici";
import { findFreePort } from "../support/free-port.ts";
import { OwnProcess, until } from "../support/own-process.ts";

const READY_MS = 30_000;
const STOP_MS = 15_000;

/** A Weir that serves on this machine. */
export interface StartedWeir {
  /** Where it is and who may ask, as the programs read it. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends it by SIGTERM. What was wrong with it then, and before: empty when nothing was. */
  stop(): Promise<string[]>;
}

/** Files in PEM. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/**
 * Starts `weir serve` with nothing of its own, and waits until it is ready. With a certificate it
 * speaks TLS only.
 */
export async function startWeir(files?: CertificateFiles): Promise<StartedWeir> {
  const directory = mkdtempSync(join(tmpdir(), "weir-interop-data-"));
  const [key, adminKey] = [`wk_${"k".repeat(40)}`, `wk_${"a".repeat(40)}`];
  const address = `127.0.0.1:${await findFreePort()}`;
  const secure = files === undefined ? [] : ["--tls-cert", files.cert, "--tls-key", files.key];
  const args = ["serve", "--listen", address, "--data-dir", directory, ...secure];
  const weir = new OwnProcess(args, { WEIR_BOOTSTRAP_KEY: key, WEIR_ADMIN_KEY: adminKey });
  await until(`Weir is ready; it says:\n${weir.output}`, READY_MS, () => {
    if (!weir.running) throw new Error(`Weir ended:\n${weir.output}`);
    return isReady(`${files === undefined ? "http" : "https"}://${address}/readyz`);
  });
  return {
    env: { WEIR_ADDRESS: address, WEIR_KEY: key, WEIR_ADMIN_KEY: adminKey },
    stop: async () => {
      const faults = weir.running ? [] : ["it ended while it was asked"];
      weir.signal("SIGTERM");
      const { code } = await weir.end(STOP_MS);
      rmSync(directory, { recursive: true, force: true });
      if (code !== 0) faults.push(`SIGTERM ended it with ${code}`);
      return [...faults, ...listLoggedErrors(weir.output)];
    },
  };
}

/** Whose certificate it is does not matter here. */
const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });

async function isReady(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(url, { dispatcher });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}

/** Lines of level error and above: no client, however foreign, may cause one. */
function listLoggedErrors(output: string): string[] {
  return output.split("\n").filter((line) => /^\{"level":[56]0,/.test(line));
}
