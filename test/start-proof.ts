/** Starts Weir by the README's start command and makes one chat request over gRPC and one over REST; then SIGTERM. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, loadPackageDefinition, Metadata } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { request } from "undici";

const READY_TRIES = 300;
const PAUSE_MS = 100;
const key = `wk_${"p".repeat(40)}`;
const directory = mkdtempSync(join(tmpdir(), "weir-start-"));
const port = await findFreePort();
const base = `http://127.0.0.1:${port}`;

const weir = spawn(
  "npm",
  ["start", "--", "--listen", `127.0.0.1:${port}`, "--data-dir", directory, "--workers", "2"],
  {
    env: { ...process.env, WEIR_BOOTSTRAP_KEY: key, WEIR_ADMIN_KEY: `wk_${"a".repeat(40)}` },
    stdio: ["ignore", "inherit", "inherit"],
  },
);
const ended = new Promise<number | null>((resolve) => weir.once("exit", resolve));
try {
  await waitUntilReady();
  await proveRest();
  await proveGrpc();
} finally {
  weir.kill("SIGTERM");
}
assert.equal(await ended, 0, "SIGTERM must drain and end with 0");
rmSync(directory, { recursive: true });
console.log("start command: REST and gRPC answered, SIGTERM drained");
console.log("2 passed, 0 failed, 0 skipped");

async function proveRest(): Promise<void> {
  const { statusCode, body } = await request(`${base}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "over REST" }] }),
  });
  const answer = await body.text();
  assert.equal(statusCode, 200, answer);
  assert.equal(JSON.parse(answer).choices[0].message.content, "over REST");
}

async function proveGrpc(): Promise<void> {
  const definition = loadSync("weir/v1/chat_service.proto", {
    includeDirs: ["proto", "proto/vendor"],
    keepCase: true,
    enums: String,
  });
  const loaded = loadPackageDefinition(definition) as unknown as GrpcPackage;
  const client = new loaded.weir.v1.ChatService(`127.0.0.1:${port}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  const message = { role: "ROLE_USER", parts: [{ text: { text: "over gRPC" } }] };
  const answer = await new Promise<GrpcAnswer>((resolve, reject) => {
    client.CreateChat(
      { chat: { model: "sim/echo", messages: [message] } },
      metadata,
      (error, value) => (error === null ? resolve(value) : reject(error)),
    );
  });
  assert.equal(answer.choices[0]?.message.parts[0]?.text.text, "over gRPC");
  client.close();
}

async function waitUntilReady(): Promise<void> {
  for (let tries = 0; tries < READY_TRIES; tries++) {
    const status = await request(`${base}/readyz`).then(
      async (answer) => {
        await answer.body.dump();
        return answer.statusCode;
      },
      () => 0,
    );
    if (status === 200) return;
    assert.equal(weir.exitCode, null, "Weir ended before it was ready");
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  assert.fail("Weir was not ready in time");
}

function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === "object" && address !== null ? address.port : 0),
      );
    });
  });
}

interface GrpcAnswer {
  readonly choices: ReadonlyArray<{
    readonly message: {
      readonly parts: ReadonlyArray<{ readonly text: { readonly text: string } }>;
    };
  }>;
}

interface GrpcPackage {
  readonly weir: {
    readonly v1: {
      readonly ChatService: new (
        address: string,
        credential: ReturnType<typeof credentials.createInsecure>,
      ) => {
        CreateChat(
          request: object,
          metadata: Metadata,
          done: (error: Error | null, answer: GrpcAnswer) => void,
        ): void;
        close(): void;
      };
    };
  };
}
