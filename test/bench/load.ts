/**
 * Sends one request again and again, as its argument says (a LoadSpec), and prints a LoadResult. A closed loop keeps every
 * slot busy. An open loop asks at a constant rate, and counts each latency from when the request was due, so that a server
 * that stalls cannot hide the requests that had to wait for it.
 */
import { readFileSync } from "node:fs";
import { GrpcConnection } from "./load-grpc.ts";
import { Http1Slot } from "./load-http1.ts";
import type { LoadEvents, LoadSlot } from "./load-slot.ts";
import type { LoadResult, LoadSpec } from "./load-spec.ts";
import { readBusyUs, readCpuUs, readRssBytes } from "./machine.ts";
import { startMetronome } from "./metronome.ts";
import { Samples } from "./samples.ts";

const DRAIN_MS = 3000;

class Load implements LoadEvents {
  readonly #spec: LoadSpec;
  readonly #latency = new Samples();
  readonly #firstContent = new Samples();
  /** Slots with nothing to do. */
  readonly #idle: LoadSlot[] = [];
  /** When requests were due that wait for a slot. */
  readonly #overdue: number[] = [];
  #opened = 0;
  #shown = 0;
  #measuring = false;
  #stopping = false;
  #underWay = 0;
  #done = 0;
  #marks = 0;
  #errors = 0;
  #error: string | undefined;
  #onAllShown: (() => void) | undefined;

  constructor(spec: LoadSpec) {
    this.#spec = spec;
  }

  opened(slot: LoadSlot): void {
    this.#opened++;
    if (this.#spec.rate === undefined) this.#start(slot, performance.now());
    else this.#idle.push(slot);
  }

  content(slot: LoadSlot): void {
    this.#shown++;
    if (this.#measuring) this.#firstContent.add(performance.now() - slot.sinceMs);
    if (this.#shown >= this.#spec.connections * this.#spec.streams) this.#onAllShown?.();
  }

  marks(count: number): void {
    if (this.#measuring) this.#marks += count;
  }

  done(slot: LoadSlot, fault: string | undefined): void {
    this.#underWay--;
    const nowMs = performance.now();
    if (fault !== undefined) this.#note(fault);
    else if (this.#measuring) {
      this.#done++;
      this.#latency.add(nowMs - slot.sinceMs);
    }
    if (this.#stopping || this.#spec.hold) return;
    if (fault !== undefined) {
      setTimeout(() => this.opened(slot), 10);
      return;
    }
    if (this.#spec.rate === undefined) {
      this.#start(slot, nowMs);
      return;
    }
    const dueMs = this.#overdue.shift();
    if (dueMs === undefined) this.#idle.push(slot);
    else this.#start(slot, dueMs);
  }

  /** Opens everything, waits, and ends when stdin does. */
  async hold(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onAllShown = resolve;
      this.#connect();
    });
    process.stdout.write(`${JSON.stringify({ held: this.#shown })}\n`);
    await new Promise((resolve) => process.stdin.on("end", resolve).resume());
  }

  async measure(): Promise<LoadResult> {
    this.#connect();
    const { rate, warmSeconds, seconds } = this.#spec;
    const metronome = rate === undefined ? undefined : this.#startBeating(rate);
    await sleep(warmSeconds);
    const before = this.#readMachine();
    this.#measuring = true;
    await sleep(seconds);
    const after = this.#readMachine();
    if (rate === undefined) this.#measuring = false;
    this.#stopping = true;
    const done = this.#done;
    await metronome?.stop();
    await this.#drain();
    const elapsed = (after.ms - before.ms) / 1000;
    const known = after.knownUs - before.knownUs;
    return {
      rate: done / elapsed,
      done,
      errors: this.#errors,
      error: this.#error,
      latency: this.#latency.quantiles(),
      firstContent: this.#firstContent.quantiles(),
      marks: this.#marks,
      seconds: elapsed,
      serverCpuUs: after.serverUs - before.serverUs,
      foreignCores: Math.max(0, after.busyUs - before.busyUs - known) / 1e6 / elapsed,
      loadCpuUs: after.loadUs - before.loadUs,
      rssBytes: after.rssBytes,
    };
  }

  #connect(): void {
    const { protocol, port, connections, bodyBytesMin, marks, requestFile } = this.#spec;
    const request = readFileSync(requestFile);
    const options = { port, request, bodyBytesMin, marks, events: this };
    const { path, fields, streams } = this.#spec;
    for (let at = 0; at < connections; at++) {
      if (protocol === "http1") new Http1Slot(options);
      else new GrpcConnection({ ...options, path, fields, streams });
    }
  }

  #startBeating(rate: number): { stop(): Promise<void> } {
    return startMetronome(rate, (dueMs) => {
      if (this.#stopping || this.#opened === 0) return;
      const slot = this.#idle.pop();
      if (slot === undefined) this.#overdue.push(dueMs);
      else this.#start(slot, dueMs);
    });
  }

  #start(slot: LoadSlot, sinceMs: number): void {
    slot.sinceMs = sinceMs;
    this.#underWay++;
    slot.send();
  }

  #note(fault: string): void {
    this.#errors++;
    this.#error ??= fault;
  }

  /** In an open loop the slowest answers count most, so they are waited for. */
  async #drain(): Promise<void> {
    const untilMs = performance.now() + (this.#spec.rate === undefined ? 0 : DRAIN_MS);
    while (this.#underWay > 0 && performance.now() < untilMs) await sleep(0.01);
    if (this.#spec.rate === undefined) return;
    const lost = this.#underWay + this.#overdue.length;
    if (lost > 0) this.#note(`${lost} requests were unanswered at the end`);
  }

  #readMachine() {
    const { servers, known } = this.#spec;
    const serverUs = servers.reduce((sum, pid) => sum + readCpuUs(pid), 0);
    const loadUs = readCpuUs(process.pid);
    return {
      ms: performance.now(),
      busyUs: readBusyUs(),
      serverUs,
      loadUs,
      knownUs: serverUs + loadUs + known.reduce((sum, pid) => sum + readCpuUs(pid), 0),
      rssBytes: readRssBytes(servers[0] ?? 0),
    };
  }
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

const spec: LoadSpec = JSON.parse(process.argv[2] ?? "{}");
const load = new Load(spec);
if (spec.hold) await load.hold();
else process.stdout.write(`${JSON.stringify(await load.measure())}\n`);
process.exit(0);
