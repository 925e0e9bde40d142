import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createRecordIntake } from "./record-intake.ts";

/** A store that notes what it is given in each transaction, and refuses the batch of "bad". */
function openIntake() {
  const clock = new VirtualClock();
  const writes: string[][] = [];
  const told: string[] = [];
  const intake = createRecordIntake({
    clock,
    store: {
      appendBatches: async (batches) => {
        const ids = batches.map((bytes) => nameBatch(new EncodedBatch(bytes)));
        writes.push(ids);
        if (ids.includes("bad")) throw new Error("not kept");
      },
    },
    broadcast: {
      heard: true,
      publish: (records) => told.push(...records.map(({ requestId }) => requestId)),
    },
  });
  const append = (name: string) => intake.append(createBatch(name));
  return { clock, writes, told, intake, append };
}

function createBatch(name: string): EncodedBatch {
  return EncodedBatch.of([create(RequestRecordSchema, { requestId: name })]);
}

function nameBatch(batch: EncodedBatch): string {
  return (batch.first()?.requestId ?? "").slice(0, 10);
}

describe("createRecordIntake()", () => {
  it("writes at once when nothing was written for a while", async () => {
    const { clock, writes, told, append } = openIntake();
    await append("a");
    await clock.advance(1_000);
    await append("b");
    expect(writes).toEqual([["a"], ["b"]]);
    expect(told).toEqual(["a", "b"]);
  });

  it("writes together what comes soon after a write", async () => {
    const { clock, writes, append } = openIntake();
    await append("a");
    const both = Promise.all([append("b"), append("c")]);
    await clock.advance(99);
    expect(writes).toEqual([["a"]]);
    await clock.advance(1);
    await both;
    expect(writes).toEqual([["a"], ["b", "c"]]);
  });

  it("does not wait when much has come", async () => {
    const { writes, append } = openIntake();
    await append("a");
    const large = "x".repeat(140_000);
    await Promise.all([append("b"), append(`c${large}`), append(`d${large}`)]);
    expect(writes.map((names) => names.map((name) => name[0]))).toEqual([["a"], ["b", "c", "d"]]);
  });

  it("lets one batch that cannot be kept fail alone", async () => {
    const { clock, told, append } = openIntake();
    await append("a");
    const outcomes = Promise.allSettled([append("b"), append("bad"), append("c")]);
    await clock.advance(100);
    expect((await outcomes).map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(told).toEqual(["a", "b", "c"]);
  });

  it("puts no more than half a mebibyte into one write, and takes a larger batch", async () => {
    const { writes, append } = openIntake();
    await append("a");
    const large = "x".repeat(300_000);
    await Promise.all([append(`1${large}`), append(`2${large}`), append(`3${large}${large}`)]);
    expect(writes.map((names) => names.map((name) => name[0]))).toEqual([
      ["a"],
      ["1"],
      ["2"],
      ["3"],
    ]);
  });

  it("waits for nothing more once it is closed", async () => {
    const { writes, intake, append } = openIntake();
    await append("a");
    const late = append("b");
    intake.close();
    await late;
    await append("c");
    expect(writes).toEqual([["a"], ["b"], ["c"]]);
  });
});
