import { request as openRequest } from "node:http";
import {
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { AdminService } from "../../../gen/weir/admin/v1/admin_service_pb.ts";
import { UsageService } from "../../../gen/weir/admin/v1/usage_service_pb.ts";
import { eventually, stillness } from "../../../test/support/eventually.ts";
import { systemClock } from "../../mesh/clock.ts";
import { createDoors } from "../doors.ts";
import { createH2Exchange } from "../h2/h2-exchange.ts";
import type { HttpExchange } from "../http-exchange.ts";
import { inNodeForm } from "../node-form.ts";
import { asNodePair } from "../node-pair.ts";
import { openPort, type Port } from "../port.ts";
import { type AdminRelay, createAdminRelay } from "./admin-relay.ts";
import { openSession } from "./grpc-test-client.ts";
import { frame, TestHouse } from "./rpc-test-house.ts";

/** A control process in small: what it saw, and how it answers. */
class Control {
  aborted = 0;
  sent = 0;
  readonly seen: Headers[] = [];
  port: Port | undefined;

  readonly usage: Partial<ServiceImpl<typeof UsageService>> = {
    tailRequests: (_, context) => this.tail(context.requestHeader, context.signal),
  };
  readonly admin: Partial<ServiceImpl<typeof AdminService>> = {
    getTeam: (request, context) => {
      this.seen.push(context.requestHeader);
      context.responseHeader.set("x-control", "yes");
      if (request.name === "teams/none") throw new ConnectError("none such", Code.NotFound);
      return { team: { name: request.name, displayName: "é".repeat(request.name.length) } };
    },
  };

  async *tail(header: Headers, signal: AbortSignal) {
    this.seen.push(header);
    signal.addEventListener("abort", () => {
      this.aborted += 1;
    });
    const endless = header.get("x-endless") !== null;
    const labels = { filler: "x".repeat(10_000) };
    for (; endless || this.sent < 3; this.sent++) {
      yield { record: { requestId: `req_${this.sent}`, labels } };
      if (signal.aborted) return;
    }
  }

  async open(at = 0): Promise<void> {
    const handler = connectNodeAdapter({
      routes: (router) => {
        router.service(AdminService, this.admin);
        router.service(UsageService, this.usage);
      },
    });
    const serve = (exchange: HttpExchange) =>
      inNodeForm(exchange, (request, response) => {
        const node = asNodePair(request, response);
        handler(node.request, node.response);
      });
    this.port = await openPort({
      host: "127.0.0.1",
      port: at,
      reusePort: false,
      clock: systemClock,
      http1: serve,
      http2: (stream, headers) => serve(createH2Exchange(stream, headers)),
    });
  }
}

let control = new Control();
let relay: AdminRelay;
let proxy: Port;

beforeAll(async () => {
  relay = createAdminRelay({
    target: () => (control.port ? { host: "127.0.0.1", port: control.port.port } : undefined),
    clock: systemClock,
  });
  const doors = createDoors({ house: new TestHouse(), rest: () => {}, adminRelay: relay });
  proxy = await openPort({
    host: "127.0.0.1",
    port: 0,
    reusePort: false,
    clock: systemClock,
    ...doors,
  });
});
afterAll(() => {
  relay.close();
  proxy.close();
});
beforeEach(async () => {
  // The adapter of the control process in these tests writes there when a caller leaves.
  vi.spyOn(console, "error").mockImplementation(() => {});
  control = new Control();
  await control.open();
});
afterEach(() => control.port?.close());

const transports: Array<[string, (baseUrl: string) => Transport]> = [
  ["Connect, HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect, HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web, HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
];

for (const [name, createTransport] of transports) {
  describe(`createAdminRelay(), ${name}`, () => {
    const transport = () => createTransport(`http://127.0.0.1:${proxy.port}`);

    it("passes requests and answers on, with their fields", async () => {
      const admin = createClient(AdminService, transport());
      let control1 = "";
      const { team } = await admin.getTeam(
        { name: "teams/a" },
        {
          headers: { authorization: "Bearer wk_admin", "x-other": "kept" },
          onHeader: (header) => {
            control1 = header.get("x-control") ?? "";
          },
        },
      );
      expect(team).toMatchObject({ name: "teams/a", displayName: "ééééééé" });
      expect(control1).toBe("yes");
      expect(control.seen[0]?.get("authorization")).toBe("Bearer wk_admin");
      expect(control.seen[0]?.get("x-other")).toBe("kept");
    });

    it("passes errors on", async () => {
      const admin = createClient(AdminService, transport());
      const error = await failureOf(admin.getTeam({ name: "teams/none" }));
      expect(error).toMatchObject({ code: Code.NotFound, rawMessage: "none such" });
    });

    it("passes streams on to their end", async () => {
      const usage = createClient(UsageService, transport());
      const ids: Array<string | undefined> = [];
      for await (const { record } of usage.tailRequests({})) ids.push(record?.requestId);
      expect(ids).toEqual(["req_0", "req_1", "req_2"]);
    });

    it("passes a caller's cancellation on", async () => {
      const usage = createClient(UsageService, transport());
      const stop = new AbortController();
      const calling = { headers: { "x-endless": "1" }, signal: stop.signal };
      const read = async () => {
        for await (const { record } of usage.tailRequests({}, calling)) {
          if (record?.requestId === "req_5") stop.abort();
        }
      };
      expect((await failureOf(read())).code).toBe(Code.Canceled);
      await eventually(() => expect(control.aborted).toBe(1));
    });

    it("ends a stream with an error when control dies, and finds the next one", async () => {
      const usage = createClient(UsageService, transport());
      const headers = { "x-endless": "1" };
      const read = async () => {
        for await (const { record } of usage.tailRequests({}, { headers })) {
          if (record?.requestId === "req_5") control.port?.close();
        }
      };
      await failureOf(read());
      control = new Control();
      await control.open();
      const admin = createClient(AdminService, transport());
      await eventually(async () => {
        expect((await admin.getTeam({ name: "teams/a" })).team?.name).toBe("teams/a");
      });
    });

    it("says UNAVAILABLE while there is none", async () => {
      const admin = createClient(AdminService, transport());
      const { port } = control;
      port?.close();
      const refused = await failureOf(admin.getTeam({ name: "teams/a" }));
      control.port = undefined;
      const unknown = await failureOf(admin.getTeam({ name: "teams/a" }));
      for (const error of [refused, unknown]) {
        expect(error.code).toBe(Code.Unavailable);
        expect(error.rawMessage).toContain("control process cannot be reached");
      }
    });
  });
}

describe("createAdminRelay(), a browser on HTTP/2", () => {
  const setOrigin: Interceptor = (next) => (request) => {
    request.header.set("origin", "https://app.test");
    return next(request);
  };
  const transport = () =>
    createGrpcWebTransport({
      baseUrl: `http://127.0.0.1:${proxy.port}`,
      httpVersion: "2",
      interceptors: [setOrigin],
    });

  it("gets answers and streams", async () => {
    const { team } = await createClient(AdminService, transport()).getTeam({ name: "teams/a" });
    expect(team?.name).toBe("teams/a");
    let count = 0;
    for await (const _ of createClient(UsageService, transport()).tailRequests({})) count += 1;
    expect(count).toBe(3);
  });

  it("hears that the control process is gone", async () => {
    control.port?.close();
    const error = await failureOf(createClient(AdminService, transport()).getTeam({}));
    expect(error.code).toBe(Code.Unavailable);
  });
});

describe("createAdminRelay(), a caller who does not read", () => {
  const path = "/weir.admin.v1.UsageService/TailRequests";

  it("holds the control process back, on HTTP/2", async () => {
    const session = openSession(proxy.port);
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "x-endless": "1",
    });
    stream.on("error", () => {});
    stream.end(frame(0, new Uint8Array()));
    expect(await stillness(() => control.sent, SENT_MAX)).toBeLessThan(SENT_MAX);
    session.destroy();
    await eventually(() => expect(control.aborted).toBe(1));
  });

  it("holds the control process back, on HTTP/1.1", async () => {
    const request = openRequest({
      port: proxy.port,
      path,
      method: "POST",
      agent: false,
      headers: { "content-type": "application/connect+proto", "x-endless": "1" },
    });
    request.on("error", () => {});
    request.on("response", (response) => response.pause());
    request.end(frame(0, new Uint8Array()));
    expect(await stillness(() => control.sent, SENT_MAX)).toBeLessThan(SENT_MAX);
    request.destroy();
    await eventually(() => expect(control.aborted).toBe(1));
  });
});

/** Messages of 10 kB that the windows and buffers on the way may hold. */
const SENT_MAX = 3000;

async function failureOf(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (thrown) {
    return ConnectError.from(thrown);
  }
  throw new Error("nothing failed");
}
