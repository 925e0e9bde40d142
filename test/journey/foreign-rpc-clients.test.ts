import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { EmbedService } from "../../gen/weir/v1/embed_service_pb.ts";
import { ModelService } from "../../gen/weir/v1/model_service_pb.ts";
import { ADMIN_KEY, endAll, KEY, startWeir, type WeirProcess } from "../support/weir-process.ts";

const TIMEOUT_MS = 60_000;
const run = promisify(execFile);

let weir: WeirProcess;
const closing: Array<() => void> = [];

beforeAll(async () => {
  weir = await startWeir();
});
afterAll(async () => {
  for (const close of closing) close();
  await endAll();
});

type Json = Record<string, unknown>;

/** A client of grpc-js as a service of another language's would be: made of the .proto files alone. */
interface LooseClient {
  close(): void;
  makeUnaryRequest: never;
  [method: string]: unknown;
}

const definition = loadSync(
  [
    "weir/v1/chat_service.proto",
    "weir/v1/embed_service.proto",
    "weir/v1/model_service.proto",
    "weir/admin/v1/admin_service.proto",
    "grpc/health/v1/health.proto",
  ],
  { includeDirs: ["proto", "proto/vendor"], keepCase: true, enums: String, longs: String },
);

function connectTo(service: string): LooseClient {
  let at: unknown = loadPackageDefinition(definition);
  for (const name of service.split(".")) at = (at as Json)[name];
  const Made = at as new (address: string, credential: unknown) => LooseClient;
  const client = new Made(`127.0.0.1:${weir.port}`, credentials.createInsecure());
  closing.push(() => client.close());
  return client;
}

function metadataOf(key: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}

function ask(client: LooseClient, method: string, message: Json, key = KEY): Promise<Json> {
  const call = client[method] as (
    message: Json,
    metadata: Metadata,
    options: { deadline: number },
    done: (error: ServiceError | null, answer: Json) => void,
  ) => void;
  const options = { deadline: Date.now() + TIMEOUT_MS };
  return new Promise((resolve, reject) => {
    call.call(client, message, metadataOf(key), options, (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    );
  });
}

function chatOf(text: string, model = "sim/echo"): Json {
  return { model, messages: [{ role: "ROLE_USER", parts: [{ text: { text } }] }] };
}

describe("@grpc/grpc-js, from the .proto files alone", () => {
  it("chats", async () => {
    const answer = await ask(connectTo("weir.v1.ChatService"), "CreateChat", {
      chat: chatOf("über gRPC"),
    });
    expect(answer).toMatchObject({
      decision: { provider: "sim", model: "sim/echo", attempts: 1 },
      choices: [{ message: { parts: [{ text: { text: "über gRPC" } }] } }],
      cost: { known: true },
    });
  });

  it("streams: started first, finished last, the text between", async () => {
    const client = connectTo("weir.v1.ChatService");
    const call = (client.StreamChat as (...args: unknown[]) => ClientReadableStream<Json>).call(
      client,
      { chat: chatOf("one two three four") },
      metadataOf(KEY),
      { deadline: Date.now() + TIMEOUT_MS },
    );
    const events: Json[] = [];
    for await (const event of call) events.push(event);
    expect(Object.keys(events.at(0) ?? {})).toContain("started");
    expect(Object.keys(events.at(-1) ?? {})).toContain("finished");
    const text = events.map(({ text_delta: delta }) => (delta as { text: string } | null)?.text);
    expect(text.join("")).toBe("one two three four");
  });

  it("embeds and lists models", async () => {
    const vectors = await ask(connectTo("weir.v1.EmbedService"), "Embed", {
      model: "sim/embed",
      inputs: [{ text: "one" }],
      dimensions: 4,
      encoding: "VECTOR_ENCODING_LITTLE_ENDIAN",
    });
    const [first] = vectors.embeddings as [{ little_endian: Buffer }];
    expect(first.little_endian).toHaveLength(16);
    const listed = await ask(connectTo("weir.v1.ModelService"), "ListModels", {});
    const names = (listed.models as Array<{ name: string }>).map(({ name }) => name);
    expect(names).toEqual(["sim/echo", "sim/embed", "sim/text", "sim/tools"]);
  });

  it("creates and updates by AdminService, through the same port", async () => {
    const admin = connectTo("weir.admin.v1.AdminService");
    const name = "teams/foreign";
    const made = await ask(admin, "CreateTeam", { team: { name } }, ADMIN_KEY);
    const { etag } = (made.team as { meta: { etag: string } }).meta;
    const update = {
      team: { name, display_name: "Foreign", meta: { etag } },
      update_mask: { paths: ["display_name"] },
    };
    const changed = await ask(admin, "UpdateTeam", update, ADMIN_KEY);
    expect(changed.team).toMatchObject({ name, display_name: "Foreign" });
    const stale = ask(admin, "UpdateTeam", update, ADMIN_KEY);
    await expect(stale).rejects.toMatchObject({ code: status.ABORTED });
    const stranger = ask(admin, "CreateTeam", { team: { name: "teams/other" } }, KEY);
    await expect(stranger).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  });

  it("gets status and details of an error", async () => {
    const client = connectTo("weir.v1.ChatService");
    const refused = ask(client, "CreateChat", { chat: chatOf("x", "no/such") });
    await expect(refused).rejects.toMatchObject({ code: status.NOT_FOUND });
    const unknown = ask(client, "CreateChat", { chat: chatOf("x") }, `wk_${"x".repeat(40)}`);
    const error = (await unknown.catch((thrown) => thrown)) as ServiceError;
    expect(error.code).toBe(status.UNAUTHENTICATED);
    const [packed] = error.metadata.get("grpc-status-details-bin");
    expect(String(packed)).toContain("CREDENTIAL_UNKNOWN");
  });

  it("checks health", async () => {
    const health = connectTo("grpc.health.v1.Health");
    expect(await ask(health, "Check", {})).toEqual({ status: "SERVING" });
    expect(await ask(health, "Check", { service: "weir.v1.ChatService" })).toEqual({
      status: "SERVING",
    });
    const unknown = ask(health, "Check", { service: "no.Such" });
    await expect(unknown).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

interface Protocol {
  readonly name: string;
  open(baseUrl: string): Transport;
}

const compression = { acceptCompression: [compressionGzip] };
const protocols: readonly Protocol[] = (["1.1", "2"] as const).flatMap((httpVersion) => [
  {
    name: `Connect over HTTP/${httpVersion}`,
    open: (baseUrl) => createConnectTransport({ baseUrl, httpVersion, ...compression }),
  },
  {
    name: `Connect with JSON over HTTP/${httpVersion}`,
    open: (baseUrl) =>
      createConnectTransport({ baseUrl, httpVersion, useBinaryFormat: false, ...compression }),
  },
  {
    name: `gRPC-Web over HTTP/${httpVersion}`,
    open: (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion, ...compression }),
  },
  ...(httpVersion === "2"
    ? [
        {
          name: "gRPC over HTTP/2",
          open: (baseUrl: string) => createGrpcTransport({ baseUrl, ...compression }),
        },
      ]
    : []),
]);

describe.each(protocols)("connect-node by $name", ({ open }) => {
  const call = { headers: { authorization: `Bearer ${KEY}` }, timeoutMs: TIMEOUT_MS };
  const part = { part: { case: "text" as const, value: { text: "durch das Wehr" } } };
  const chat = { model: "sim/echo", messages: [{ role: Role.USER, parts: [part] }] };
  let client: Client<typeof ChatService>;
  let transport: Transport;

  beforeAll(() => {
    transport = open(weir.url);
    client = createClient(ChatService, transport);
  });

  it("chats", async () => {
    const answer = await client.createChat({ chat }, call);
    expect(answer.choices[0]?.message?.parts[0]?.part).toMatchObject({
      value: { text: "durch das Wehr" },
    });
  });

  it("streams", async () => {
    const cases: Array<string | undefined> = [];
    let text = "";
    for await (const { event } of client.streamChat({ chat }, call)) {
      cases.push(event.case);
      if (event.case === "textDelta") text += event.value.text;
    }
    expect(text).toBe("durch das Wehr");
    expect([cases.at(0), cases.at(-1)]).toEqual(["started", "finished"]);
  });

  it("embeds and lists models", async () => {
    const inputs = [{ input: { case: "text" as const, value: "one" } }];
    const embed = createClient(EmbedService, transport);
    const vectors = await embed.embed({ model: "sim/embed", inputs, dimensions: 4 }, call);
    expect(vectors.embeddings[0]?.values).toHaveLength(4);
    const { models } = await createClient(ModelService, transport).listModels({}, call);
    expect(models).toHaveLength(4);
  });

  it("gets an error with its reason, plain and streamed", async () => {
    const wrong = { chat: { ...chat, model: "no/such" } };
    const streamed = async () => {
      for await (const _ of client.streamChat(wrong, call)) expect.fail("an event");
    };
    for (const fail of [() => client.createChat(wrong, call), streamed]) {
      const error = ConnectError.from(await fail().catch((thrown: unknown) => thrown));
      expect(error.code).toBe(Code.NotFound);
      expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
        { reason: "MODEL_NOT_FOUND", domain: "weir" },
      ]);
    }
  });
});

describe("buf curl, with nothing but reflection", () => {
  const flags = ["--protocol", "grpc", "--http2-prior-knowledge", "--reflect"];

  async function bufCurl(...args: string[]): Promise<string> {
    const { stdout } = await run("node_modules/.bin/buf", ["curl", ...args], {
      timeout: TIMEOUT_MS,
    });
    return stdout;
  }

  it("lists the services", async () => {
    const listed = await bufCurl(...flags, "--list-services", weir.url);
    expect(listed.split("\n")).toEqual(
      expect.arrayContaining([
        "weir.v1.ChatService",
        "weir.v1.EmbedService",
        "weir.v1.ModelService",
        "weir.admin.v1.AdminService",
        "weir.admin.v1.UsageService",
      ]),
    );
    expect(listed).not.toContain("weir.link");
  });

  it("chats and asks the admin service", async () => {
    const data = JSON.stringify({ chat: chatOf("by curl") });
    const header = ["-H", `authorization: Bearer ${KEY}`];
    const url = `${weir.url}/weir.v1.ChatService/CreateChat`;
    const answer = JSON.parse(await bufCurl(...flags, ...header, "-d", data, url));
    expect(answer.choices[0].message.parts[0].text.text).toBe("by curl");
    const admin = ["-H", `authorization: Bearer ${ADMIN_KEY}`, "-d", "{}"];
    const self = `${weir.url}/weir.admin.v1.AdminService/GetSelf`;
    expect(JSON.parse(await bufCurl(...flags, ...admin, self)).key).toBe("teams/root/keys/admin");
  });
});

describe("plain HTTP", () => {
  it("asks whether Weir lives and serves", async () => {
    for (const path of ["/healthz", "/readyz"]) {
      const { statusCode, body } = await request(`${weir.url}${path}`);
      await body.dump();
      expect(statusCode, path).toBe(200);
    }
  });
});
