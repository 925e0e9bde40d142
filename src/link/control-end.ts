import { createHash, timingSafeEqual } from "node:crypto";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import type { ConnectResponse } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import type { Hub } from "../mesh/hub.ts";
import { type BatchRequest, connectMethod } from "./batch-request.ts";
import type { LinkLog } from "./log.ts";
import { createSessions, type LinkRegistry, type Sessions } from "./proxy-registry.ts";
import { ProxySession } from "./proxy-session.ts";

/** The control's end of the link. */
export interface LinkServer {
  /** Adds the link's service to the doors of the control plane. */
  routes(router: ConnectRouter): void;
  readonly registry: LinkRegistry;
  /** Says goodbye to all proxies. New ones are refused. */
  close(): void;
}

export interface LinkServerOptions {
  readonly hub: Hub;
  /** What proxies must know. Not empty. */
  readonly token: string;
  readonly clock: Clock;
  readonly log: LinkLog;
}

/**
 * Makes the control's end of the link. Throws when the token is empty: an open link would give
 * every secret away.
 */
export function createLinkService(options: LinkServerOptions): LinkServer {
  if (options.token === "") throw new Error("The link needs a token.");
  const sessions = createSessions(options.clock);
  let closed = false;
  const stopListening = options.hub.onCommit((revision) => {
    for (const session of sessions.all()) session.committed(revision);
  });
  const stopRecalling = options.hub.onRecall?.(({ buckets, except }) => {
    for (const session of sessions.all()) {
      if (session.hello.proxyId !== except) session.recall(buckets);
    }
  });
  return {
    routes: (router) => {
      router.rpc(connectMethod, (requests, context) => {
        assertToken(context, options.token);
        if (closed) throw new ConnectError("this control plane shuts down", Code.Unavailable);
        return serve({ requests, context, options, sessions });
      });
    },
    registry: sessions.registry,
    close: () => {
      closed = true;
      stopListening();
      stopRecalling?.();
      for (const session of sessions.all()) session.dismiss("this control plane shuts down");
    },
  };
}

interface Connection {
  readonly requests: AsyncIterable<BatchRequest>;
  readonly context: HandlerContext;
  readonly options: LinkServerOptions;
  readonly sessions: Sessions;
}

async function* serve(connection: Connection): AsyncGenerator<ConnectResponse> {
  const { context, options, sessions } = connection;
  const messages = connection.requests[Symbol.asyncIterator]();
  const session = new ProxySession(await readHello(messages, options.clock), {
    ...options,
    settled: sessions.settled,
  });
  const facts = { proxy: session.hello.proxyId, epoch: Number(session.hello.epoch) };
  if (!sessions.admit(session)) {
    throw new ConnectError(
      `A later start of proxy ${session.hello.proxyId} is connected: give each proxy its own name.`,
      Code.AlreadyExists,
    );
  }
  options.log.info(facts, "a proxy is connected");
  const end = () => session.end();
  context.signal.addEventListener("abort", end);
  const receiving = receiveAll(messages, session);
  try {
    yield* session.send();
  } finally {
    context.signal.removeEventListener("abort", end);
    sessions.remove(session);
    session.end();
    options.log.info(facts, "a proxy is gone");
    void receiving;
  }
}

/** Never rejects: whatever ends the messages ends the session. */
async function receiveAll(
  messages: AsyncIterator<BatchRequest>,
  session: ProxySession,
): Promise<void> {
  try {
    while (!session.ended) {
      const next = await messages.next();
      if (next.done === true) break;
      await session.receive(next.value);
    }
  } catch {
    // A connection that breaks is no event of note: the proxy comes again.
  }
  session.end();
}

/** A connection that says nothing is not kept. */
async function readHello(messages: AsyncIterator<BatchRequest>, clock: Clock) {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = clock.after(HELLO_MS, () =>
    reject(new ConnectError("no hello came", Code.DeadlineExceeded)),
  );
  try {
    const first = await Promise.race([messages.next(), late]);
    const message = first.done === true ? undefined : first.value.message;
    if (message?.case === "hello" && message.value.proxyId !== "") return message.value;
    throw new ConnectError("the first message must be hello", Code.InvalidArgument);
  } finally {
    timer.cancel();
  }
}

const HELLO_MS = 10_000;

/** Digests have one length, so that the comparison tells nothing about the token's. */
function assertToken(context: HandlerContext, token: string): void {
  const given = context.requestHeader.get("authorization") ?? "";
  if (timingSafeEqual(digest(given), digest(`Bearer ${token}`))) return;
  throw new ConnectError("the link token is missing or wrong", Code.Unauthenticated);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
