import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import { fromBinary } from "@bufbuild/protobuf";
import {
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  credentials,
  Metadata,
  type ServiceError,
  status,
  type VerifyOptions,
} from "@grpc/grpc-js";
import {
  type ConnectResponse,
  ConnectResponseSchema,
  LinkService,
} from "../../gen/weir/link/v1/link_service_pb.ts";

/** One connection to one control plane. */
export interface LinkChannel {
  /**
   * Sends an encoded ConnectRequest. False means: wait for `drained` before more is sent. Ignored
   * once it has ended.
   */
  send(message: Uint8Array): boolean;
  /** Resolves when there is room again, or at the end. */
  drained(): Promise<void>;
  /** Ends it; `ended` is called if it was not yet. */
  close(reason: string): void;
}

export interface LinkChannelOptions {
  /** `HOST:PORT`, or `unix:PATH`. */
  readonly address: string;
  readonly token: string;
  /** Undefined means without encryption. */
  readonly tls: LinkTls | undefined;
  readonly message: (response: ConnectResponse) => void;
  /** Called once. */
  readonly ended: (reason: string) => void;
}

/** How the control plane is known, and the proxy by it. */
export interface LinkTls {
  /** PEM of the authorities to trust; the system's when there are none. */
  readonly ca?: Buffer;
  /** PEM of the proxy's own key and certificate, when the control plane asks for one. */
  readonly key?: Buffer;
  readonly cert?: Buffer;
}

/** Opens a connection. It never throws: what goes wrong is told to `ended`. */
export function openChannel(options: LinkChannelOptions): LinkChannel {
  const client = new Client(options.address, createCredentials(options.address, options.tls), {
    ...channelOptions,
    ...(options.tls === undefined ? {} : nameServer(options.address)),
  });
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${options.token}`);
  const stream: ClientDuplexStream<Uint8Array, ConnectResponse> = client.makeBidiStreamRequest(
    `/${LinkService.typeName}/${LinkService.method.connect.name}`,
    (message: Uint8Array) => Buffer.from(message.buffer, message.byteOffset, message.byteLength),
    (bytes) => fromBinary(ConnectResponseSchema, bytes),
    metadata,
  );
  let over = false;
  let wakeDrained: (() => void) | undefined;
  const end = (reason: string) => {
    if (over) return;
    over = true;
    stream.cancel();
    client.close();
    wakeDrained?.();
    options.ended(reason);
  };
  stream.on("data", (response: ConnectResponse) => {
    if (!over) options.message(response);
  });
  stream.on("drain", () => wakeDrained?.());
  stream.on("end", () => end("the control plane closed the connection"));
  // The listener stays after the end: a cancelled stream still emits its error.
  stream.on("error", (error: ServiceError) => end(describeError(error)));
  return {
    send: (message) => over || stream.write(message),
    drained: () =>
      new Promise((resolve) => {
        if (over || !stream.writableNeedDrain) resolve();
        else wakeDrained = resolve;
      }),
    close: end,
  };
}

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

const channelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
  "grpc.max_send_message_length": MESSAGE_BYTES_MAX,
  // A connection is made anew with its own backoff; nothing is shared or repeated beneath.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  // A proxy for the way out is none for the way home.
  "grpc.enable_http_proxy": 0,
};

function createCredentials(address: string, tls: LinkTls | undefined) {
  if (tls === undefined) return credentials.createInsecure();
  const ip = readIpAddress(address);
  const verify: VerifyOptions =
    ip === undefined
      ? {}
      : { checkServerIdentity: (_, certificate) => checkServerIdentity(ip, certificate) };
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null, verify);
}

/**
 * TLS asks for a server by name, and Node refuses an address there, which grpc-js would give. The
 * certificate is still checked for the address.
 */
function nameServer(address: string): ClientOptions {
  if (readIpAddress(address) === undefined) return {};
  return { "grpc.ssl_target_name_override": "localhost" };
}

/** The host of `HOST:PORT` when it is an address and no name. */
function readIpAddress(address: string): string | undefined {
  const host = address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? undefined : host;
}

function describeError(error: ServiceError): string {
  if (error.code === status.UNAUTHENTICATED) return "it refuses the link token";
  return error.details === "" ? (status[error.code] ?? "unknown error") : error.details;
}
