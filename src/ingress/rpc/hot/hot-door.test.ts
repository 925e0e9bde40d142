import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../mesh/clock.ts";
import { VirtualClock } from "../../../mesh/virtual-clock.ts";
import { openPort, type Port } from "../../port.ts";
import { openSession } from "../grpc-test-client.ts";
import { READ_TIMEOUT_MS } from "../limits.ts";
import { frame, TEST_KEY, TestHouse } from "../rpc-test-house.ts";
import { createHotDoor } from "./hot-door.ts";

const PATH = "/weir.v1.ChatService/CreateChat";

describe("HotDoor.find()", () => {
  const door = createHotDoor(new TestHouse(new VirtualClock()));

  it("serves gRPC in its binary form", () => {
    for (const type of [
      "application/grpc",
      "application/grpc+proto",
      "application/grpc;charset=x",
      "Application/gRPC",
    ]) {
      expect(door.find(PATH, type)).toBeDefined();
    }
  });

  it("leaves everything else to other doors", () => {
    for (const type of [
      undefined,
      "application/grpc+json",
      "application/grpc-web",
      "application/grpc-web+proto",
      "application/proto",
      "application/grpcx",
    ]) {
      expect(door.find(PATH, type)).toBeUndefined();
    }
    expect(door.find("/weir.v1.ModelService/ListModels", "application/grpc")).toBeUndefined();
    expect(door.find(undefined, "application/grpc")).toBeUndefined();
  });
});

describe("a request that does not end", () => {
  let clock: VirtualClock;
  let house: TestHouse;
  let port: Port;
  let session: ClientHttp2Session;
  let arrived = Promise.withResolvers<void>();

  beforeEach(async () => {
    clock = new VirtualClock();
    arrived = Promise.withResolvers();
    house = new TestHouse(clock);
    const door = createHotDoor(house);
    port = await openPort({
      host: "127.0.0.1",
      port: 0,
      reusePort: false,
      clock: systemClock,
      http1: () => {},
      http2: (stream, headers) => {
        const method = door.find(headers[":path"], headers["content-type"]);
        if (method !== undefined) door.accept(method, stream, headers);
        arrived.resolve();
      },
    });
    session = openSession(port.port);
  });
  afterEach(() => {
    session.destroy();
    port.close();
  });

  function begin(key: string): ClientHttp2Stream {
    const stream = session.request({
      ":method": "POST",
      ":path": PATH,
      "content-type": "application/grpc",
      authorization: `Bearer ${key}`,
    });
    stream.on("error", () => {});
    stream.resume();
    stream.write(frame(0, new Uint8Array(100_000)).subarray(0, 50_000));
    return stream;
  }

  function answerOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders> {
    return new Promise((resolve) => stream.on("response", resolve));
  }

  it("is given up after a while, and its stream closed when it still goes on", async () => {
    const stream = begin(TEST_KEY);
    const closed = new Promise((resolve) => stream.on("close", resolve));
    const answer = answerOf(stream);
    // The request has to be there before time may pass.
    await arrived.promise;
    await clock.advance(READ_TIMEOUT_MS);
    expect(await answer).toMatchObject({ "grpc-status": "4" });
    expect(house.refusals).toEqual(["DEADLINE_EXCEEDED"]);
    await clock.advance(READ_TIMEOUT_MS);
    await closed;
  });

  it("is refused at once when a stranger sends it", async () => {
    expect(await answerOf(begin("wk_unknown"))).toMatchObject({ "grpc-status": "16" });
    expect(house.refusals).toEqual(["CREDENTIAL_UNKNOWN"]);
  });
});
