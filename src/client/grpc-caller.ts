import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  Metadata,
  type ServiceError,
  type VerifyOptions,
} from "@grpc/grpc-js";
import type { Attempt, Caller } from "./caller.ts";
import type { Settings } from "./options.ts";
import { decodeWeirError, WeirError } from "./weir-error.ts";

/**
 * An answer with vectors or pictures is far above the four megabytes that gRPC allows by itself.
 */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/** Calls over @grpc/grpc-js, on one HTTP/2 connection that is opened by the first call. */
export function createGrpcCaller(settings: Settings): Caller {
  const client = new Client(
    toTarget(settings.url),
    createCredentials(settings),
    createChannelOptions(settings),
  );
  const describe = (): Metadata => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${settings.key()}`);
    return metadata;
  };
  return {
    unary: (method, input, attempt) =>
      new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          toPath(method),
          (message: MessageShape<typeof method.input>) => encode(method.input, message),
          (bytes: Buffer): MessageShape<typeof method.output> => fromBinary(method.output, bytes),
          create(method.input, input),
          describe(),
          { deadline: toDeadline(attempt) },
          (error, answer) => {
            attempt.signal?.removeEventListener("abort", cancel);
            if (error !== null) reject(toWeirError(error, attempt));
            else if (answer === undefined) reject(createEmptyAnswer());
            else resolve(answer);
          },
        );
        const cancel = (): void => call.cancel();
        attempt.signal?.addEventListener("abort", cancel);
      }),
    stream: async function* (method, input, attempt) {
      const call = client.makeServerStreamRequest(
        toPath(method),
        (message: MessageShape<typeof method.input>) => encode(method.input, message),
        (bytes: Buffer): MessageShape<typeof method.output> => fromBinary(method.output, bytes),
        create(method.input, input),
        describe(),
        { deadline: toDeadline(attempt) },
      );
      const cancel = (): void => call.cancel();
      attempt.signal?.addEventListener("abort", cancel);
      // A call that is cancelled after its reader has left still emits its end, and nobody else
      // listens then.
      call.on("error", () => {});
      try {
        yield* call;
      } catch (error) {
        throw toWeirError(error, attempt);
      } finally {
        attempt.signal?.removeEventListener("abort", cancel);
        // After its end this does nothing; otherwise the reader has stopped, and so shall the
        // upstream.
        call.cancel();
      }
    },
    close: () => client.close(),
  };
}

function toTarget(url: URL): string {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return `dns:${url.hostname}:${port}`;
}

function createCredentials({ url, tls }: Settings): ChannelCredentials {
  if (url.protocol === "http:") return credentials.createInsecure();
  const { ca, key, cert } = tls;
  const host = readIpAddress(url);
  const verify: VerifyOptions =
    host === undefined
      ? {}
      : { checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate) };
  return credentials.createSsl(toBuffer(ca), toBuffer(key), toBuffer(cert), verify);
}

/** The host when it is an address and no name. */
function readIpAddress({ hostname }: URL): string | undefined {
  const host = hostname.replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? undefined : host;
}

function createChannelOptions({ url, keepalive }: Settings): ClientOptions {
  return {
    // TLS asks for a server by name, and Node refuses an address there, which grpc-js would give.
    // The certificate is still checked for the address, by `checkServerIdentity`.
    ...(readIpAddress(url) === undefined ? {} : { "grpc.ssl_target_name_override": "localhost" }),
    "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
    // Retries are ours, by our budget; a service config from DNS must not add others.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 5000,
    ...(keepalive === undefined
      ? {}
      : {
          "grpc.keepalive_time_ms": keepalive.intervalMs,
          "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
        }),
  };
}

function toBuffer(pem: string | undefined): Buffer | null {
  return pem === undefined ? null : Buffer.from(pem);
}

function toPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encode<D extends DescMessage>(desc: D, message: MessageShape<D>): Buffer {
  const bytes = toBinary(desc, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** grpc-js wants the time of day. */
function toDeadline({ timeoutMs }: Attempt): Date {
  const deadline = new Date();
  deadline.setTime(deadline.getTime() + timeoutMs);
  return deadline;
}

function toWeirError(thrown: unknown, { signal }: Attempt): WeirError {
  if (!isServiceError(thrown)) {
    return new WeirError({ reason: "INTERNAL", code: 13, message: String(thrown), cause: thrown });
  }
  const [status] = thrown.metadata.get("grpc-status-details-bin");
  const [requestId] = thrown.metadata.get("x-request-id");
  const aborted = thrown.code === 1 && signal?.aborted === true;
  return decodeWeirError({
    code: thrown.code,
    message: aborted ? "The call was aborted." : thrown.details,
    status: Buffer.isBuffer(status) ? status : undefined,
    requestId: requestId?.toString(),
    cause: aborted ? signal.reason : thrown,
  });
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && "code" in thrown && "metadata" in thrown;
}

function createEmptyAnswer(): WeirError {
  return new WeirError({ reason: "INTERNAL", code: 13, message: "The answer had no message." });
}
