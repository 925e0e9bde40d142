import type { Rounds } from "./rounds.ts";
import { atLeast, atMost, createRow, type Promised, type Row } from "./row.ts";
import { further, heldTo } from "./row-specs.ts";
import { median } from "./samples.ts";
import type { StreamMemory } from "./stream-memory.ts";
import type { WorkerScaling } from "./worker-scaling.ts";

/** What was measured beside the rounds. */
export interface Extras {
  readonly memory: readonly StreamMemory[];
  /** Undefined when it was not asked for. */
  readonly workers: WorkerScaling | undefined;
  /** False where load and upstream must share the proxies' cores. */
  readonly coresToSpare: boolean;
}

/** The table that Weir is held to, in its order. */
export function createHeldTo(rounds: Rounds, extras: Extras): Row[] {
  return [
    ...heldTo.restPlain.map((spec) => createRow(spec, rounds)),
    createAbsentRow("Portkey's CPU / REST plain", atLeast(6, 9)),
    ...heldTo.restBurst.map((spec) => createRow(spec, rounds)),
    createAbsentRow("Portkey's CPU / ours, SSE burst", atLeast(10, 15)),
    ...heldTo.grpc.map((spec) => createRow(spec, rounds)),
    ...heldTo.latency.map((spec) => createRow(spec, rounds)),
    createMemoryRow("RSS an open stream, REST", listMemory(extras, "weir openai-stream")),
    createMemoryRow("RSS an open stream, gRPC", listMemory(extras, "weir grpc-stream")),
    createLoadedRow(rounds),
    createWorkerRow(extras),
  ];
}

/** What else the run has shown. */
export function createFurther(rounds: Rounds, extras: Extras): Row[] {
  const bare = createMemoryRow(
    "bare proxy: RSS an open stream",
    listMemory(extras, "bare openai-stream"),
  );
  return [...further.map((spec) => createRow(spec, rounds)), { ...bare, promise: undefined }];
}

function createAbsentRow(name: string, promise: Promised): Row {
  const note = "Portkey is no part of this repository";
  return { name, unit: "×", value: undefined, promise, note, void: false };
}

function listMemory(extras: Extras, which: string): number[] {
  return extras.memory
    .filter(({ server, form }) => `${server} ${form}` === which)
    .map(({ bytesEach }) => bytesEach / 1000);
}

function createMemoryRow(name: string, values: readonly number[]): Row {
  const value = values.length === 0 ? undefined : median(values);
  const note = value === undefined ? "not run" : "";
  return { name, unit: "kB", value, promise: atMost(100, 70), note, void: false };
}

/** The most that the proxy held at the end of any trial of a round. */
function createLoadedRow(rounds: Rounds): Row {
  const most = rounds.results.flatMap((round) => {
    const ours = [...round].filter(([name]) => name.startsWith("weir "));
    return ours.length === 0 ? [] : [Math.max(...ours.map(([, result]) => result.rssBytes)) / 1e6];
  });
  const value = most.length === 0 ? undefined : median(most);
  const note = value === undefined ? "not run" : "the same process through all trials";
  const name = "RSS of a proxy under load";
  return { name, unit: "MB", value, promise: atMost(170, 130), note, void: false };
}

function createWorkerRow({ workers, coresToSpare }: Extras): Row {
  const byCpu = workers?.byCpu.toFixed(2);
  const shared = `load and upstream share the workers' cores; by CPU a request it would be ${byCpu}`;
  const note = workers === undefined ? "not run" : shared;
  const name = "requests/s, 2 workers / 1";
  const row = { name, unit: "×", value: workers?.rate, promise: atLeast(1.5, 1.65) } as const;
  if (coresToSpare && workers !== undefined) return { ...row, note: "", void: false };
  return { ...row, note, void: true };
}
