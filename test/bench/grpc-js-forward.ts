/**
 * A gRPC server as people build it in Node: @grpc/grpc-js with proto-loader, in front of a JSON upstream, doing nothing
 * else. The reference of the gRPC rows. `node grpc-js-forward.ts UPSTREAM_ORIGIN` prints a line with its port.
 */
import { join } from "node:path";
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { type ForwardChat, Forwarder } from "./forward.ts";

const forwarder = new Forwarder(process.argv[2] ?? "http://127.0.0.1:1");

/** The request as proto-loader decodes it. */
interface LoadedRequest {
  readonly chat: {
    readonly model: string;
    readonly messages: ReadonlyArray<{
      readonly role: number;
      readonly parts: ReadonlyArray<{ readonly text?: { readonly text: string } }>;
    }>;
    readonly sampling?: { readonly temperature?: number; readonly maxTokens?: number };
  };
}

function readChat({ chat }: LoadedRequest): ForwardChat {
  return {
    model: chat.model,
    messages: chat.messages.map(({ role, parts }) => ({ role, text: parts[0]?.text?.text ?? "" })),
    temperature: chat.sampling?.temperature,
    maxTokens: chat.sampling?.maxTokens,
  };
}

function createChat(
  call: ServerUnaryCall<LoadedRequest, object>,
  callback: sendUnaryData<object>,
): void {
  forwarder.create(readChat(call.request)).then(
    ({ text, inputTokens, outputTokens }) =>
      callback(null, {
        choices: [{ message: { role: 4, parts: [{ text: { text } }] } }],
        usage: { inputTokens, outputTokens },
      }),
    (error) => callback(error),
  );
}

function streamChat(call: ServerWritableStream<LoadedRequest, object>): void {
  call.write({ started: {} });
  forwarder.stream(readChat(call.request), {
    text: (text) => call.write({ textDelta: { text } }),
    end: (inputTokens, outputTokens) => {
      call.write({ finished: { usage: { inputTokens, outputTokens } } });
      call.end();
    },
    fail: (error) => call.destroy(error),
  });
}

const root = join(import.meta.dirname, "..", "..", "proto");
const definition = loadSync("weir/v1/chat_service.proto", {
  includeDirs: [root, join(root, "vendor")],
  longs: Number,
});
const loaded = loadPackageDefinition(definition);
const server = new Server();
// The loader's types know nothing of the file: what it holds is certain.
const { ChatService } = (loaded as unknown as { weir: { v1: { ChatService: ServiceClient } } }).weir
  .v1;
server.addService(ChatService.service, { createChat, streamChat });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});

interface ServiceClient {
  readonly service: Parameters<Server["addService"]>[0];
}
