import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import {
  type CallOptions,
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { TEST_KEY } from "./rpc-test-house.ts";

/** What a gRPC call brought. */
export interface GrpcReply {
  readonly messages: object[];
  readonly headers: Metadata;
  readonly error: ServiceError | undefined;
}

const definitions = loadSync(
  [
    "weir/v1/chat_service.proto",
    "weir/v1/embed_service.proto",
    "weir/v1/model_service.proto",
    "grpc/health/v1/health.proto",
  ],
  { includeDirs: ["proto", "proto/vendor"], longs: String, enums: String, defaults: true },
);

/** grpc-js with proto-loader, straight from the proto files: nothing of it is ours. */
export class GrpcTestClient {
  readonly #client: Client;

  constructor(port: number, options: ClientOptions = {}) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
      ...options,
    });
  }

  unary(
    path: string,
    request: object,
    options: CallOptions = {},
    metadata: Record<string, string> = { authorization: `Bearer ${TEST_KEY}` },
  ): Promise<GrpcReply> {
    const method = findMethod(path);
    return new Promise((resolve) => {
      let headers = new Metadata();
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        createMetadata(metadata),
        options,
        (error, response) => {
          const messages = response === undefined ? [] : [response];
          resolve({ messages, headers, error: error ?? undefined });
        },
      );
      call.on("metadata", (received) => {
        headers = received;
      });
    });
  }

  /** `each` may cancel the call or pause it. */
  stream(
    path: string,
    request: object,
    each: (
      message: object,
      call: { cancel(): void; pause(): void; resume(): void },
    ) => void = () => {},
    options: CallOptions = {},
  ): Promise<GrpcReply> {
    const method = findMethod(path);
    return new Promise((resolve) => {
      const messages: object[] = [];
      let headers = new Metadata();
      let failure: ServiceError | undefined;
      const call = this.#client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        createMetadata({ authorization: `Bearer ${TEST_KEY}` }),
        options,
      );
      call.on("metadata", (received: Metadata) => {
        headers = received;
      });
      call.on("data", (message: object) => {
        messages.push(message);
        each(message, call);
      });
      call.on("error", (error: ServiceError) => {
        failure = error;
        resolve({ messages, headers, error });
      });
      call.on("end", () => resolve({ messages, headers, error: failure }));
    });
  }

  close(): void {
    this.#client.close();
  }
}

/** What came back on a bare HTTP/2 stream. */
export interface RawReply {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends bytes as no client would. */
export function sendRaw(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  body: Uint8Array,
): Promise<RawReply> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": "POST", te: "trailers", ...headers });
    let answered: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const pieces: Buffer[] = [];
    stream.on("response", (fields) => {
      answered = fields;
    });
    stream.on("trailers", (fields) => {
      trailers = fields;
    });
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("error", reject);
    stream.on("close", () => {
      resolve({ headers: answered, trailers, body: Buffer.concat(pieces) });
    });
    stream.end(body);
  });
}

/** What a client of gRPC says before its message. */
export function rawHeaders(path: string): Record<string, string> {
  return {
    ":method": "POST",
    ":path": `/${path}`,
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer ${TEST_KEY}`,
  };
}

/** Opens a bare HTTP/2 connection. */
export function openSession(port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  return session;
}

/** The same for a test's `finally`: resolves once the connection is closed. */
export function closeSession(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => session.close(resolve));
}

function findMethod(path: string): MethodDefinition<object, object> {
  const [service = "", name = ""] = path.split("/");
  const definition = definitions[service];
  if (definition === undefined || "format" in definition) throw new Error(`no service ${service}`);
  const method = Object.values(definition).find((known) => known.path === `/${service}/${name}`);
  if (method === undefined) throw new Error(`no method ${name}`);
  return method;
}

function createMetadata(fields: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const name in fields) metadata.set(name, fields[name] ?? "");
  return metadata;
}
