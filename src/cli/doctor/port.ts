import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { Clock } from "../../mesh/clock.ts";
import { isDistrust } from "../failure.ts";
import { broken, doubtful, type Finding, good } from "./finding.ts";

const ANSWER_MS = 5000;
const SKEW_DOUBTFUL_MS = 5000;
const SKEW_BROKEN_MS = 60_000;

/** Where Weir is, and how to trust it. */
export interface Door {
  readonly address: string;
  readonly ca: string | undefined;
}

/** What the port says of itself; `reached` is false when it says nothing. */
export interface PortFindings {
  readonly reached: boolean;
  readonly findings: readonly Finding[];
}

/** Asks `/readyz`, and compares the clocks by the answer's date. */
export async function checkPort(door: Door, clock: Clock): Promise<PortFindings> {
  const { address } = door;
  let answer: Answer;
  try {
    answer = await get(`${address}/readyz`, door.ca);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const mend = isDistrust(why)
      ? "Give the authority of its certificate with --ca or WEIR_CA."
      : "Start Weir (`npm start`), or say where it is with --address or WEIR_ADDRESS.";
    return {
      reached: false,
      findings: [broken(`nothing answers at ${address} (${why})`, mend)],
    };
  }
  return {
    reached: true,
    findings: [...readReadiness(address, answer), checkSkew(answer, clock.wallMs())],
  };
}

/** Whether something listens there, within `withinMs`: undefined, or why not. */
export function tryConnect(
  host: string,
  port: number,
  withinMs: number,
): Promise<string | undefined> {
  return new Promise((done) => {
    const socket = connect({ host, port, timeout: withinMs });
    const end = (fault: string | undefined): void => {
      socket.destroy();
      done(fault);
    };
    socket.once("connect", () => end(undefined));
    socket.once("timeout", () => end(`no answer within ${withinMs / 1000} s`));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

interface Answer {
  readonly status: number;
  readonly date: string | undefined;
  readonly body: string;
}

function get(url: string, ca: string | undefined): Promise<Answer> {
  return new Promise((done, fail) => {
    const take = (response: IncomingMessage): void => {
      const { statusCode = 0, headers } = response;
      text(response).then((body) => done({ status: statusCode, date: headers.date, body }), fail);
    };
    const options = { agent: false, signal: AbortSignal.timeout(ANSWER_MS) };
    const asked = url.startsWith("https:")
      ? requestHttps(url, { ...options, ca }, take)
      : requestHttp(url, options, take);
    asked.on("error", (error: NodeJS.ErrnoException) =>
      fail(
        error.name === "AbortError" ? new Error(`no answer within ${ANSWER_MS / 1000} s`) : error,
      ),
    );
    asked.end();
  });
}

const readinessSchema = z.object({ ready: z.boolean(), faults: z.array(z.string()).default([]) });

function readReadiness(address: string, { status, body }: Answer): Finding[] {
  const read = readinessSchema.safeParse(parseJson(body));
  if (!read.success) {
    const what = `what answers at ${address} is no Weir (status ${status} for /readyz)`;
    return [broken(what, "Say where Weir is with --address or WEIR_ADDRESS.")];
  }
  const { ready, faults } = read.data;
  const mend = "Mend what it says; `weir get providers` shows where secrets are looked for.";
  const described = faults.map((fault): Finding => {
    const state = ready ? "doubtful" : "broken";
    return { state, what: `the proxy says: ${fault}`, mend, fault };
  });
  if (ready) return [good(`Weir serves at ${address}`), ...described];
  const look = "See the log of the proxy, and that its control process runs.";
  return [broken(`Weir is not ready at ${address}`, look), ...described];
}

function checkSkew({ date }: Answer, nowMs: number): Finding {
  const theirs = Date.parse(date ?? "");
  if (Number.isNaN(theirs))
    return doubtful("Weir's answer has no date", "Compare the clocks by hand.");
  // The header has whole seconds: the true time is anywhere within the second.
  const skewMs = Math.max(0, theirs - nowMs, nowMs - (theirs + 1000));
  const what = `the clocks here and there differ by ${(skewMs / 1000).toFixed(1)} s`;
  const mend = "Let both follow a time server: expiries and budgets go by the clock.";
  if (skewMs > SKEW_BROKEN_MS) return broken(what, mend);
  return skewMs > SKEW_DOUBTFUL_MS ? doubtful(what, mend) : good("the clocks here and there agree");
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
