import type { ChatClientSide } from "../../dialects/dialect.ts";
import type { ChatAsk, DialectName } from "../../mesh/ask.ts";
import type { Call } from "../../mesh/call.ts";
import { MeshError } from "../../mesh/errors.ts";
import { answerBytes } from "./answer.ts";
import { AnswerSink } from "./answer-sink.ts";
import { withClientDeadline, withDeadline } from "./arrival.ts";
import { readJsonBody } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { createHead, pushCost } from "./response-head.ts";
import { SseSink } from "./sse-sink.ts";
import { withWireHeaders } from "./wire-headers.ts";

/** The forms in which a chat is asked for. */
export type ChatForm = "openai" | "completions" | "anthropic";

/** Answers a chat, whole or as a stream. Rejects only while nothing has been sent. */
export async function serveChat(exchange: Exchange, form: ChatForm): Promise<void> {
  const { http } = exchange;
  const side = findClientSide(exchange, form);
  const call = withDeadline(exchange.call, http.headers);
  const body = await readJsonBody(exchange);
  const read = side.readAsk(body.json, body.bytes);
  const ask = form === "anthropic" ? withWireHeaders(read, http.headers) : read;
  // The old completions are no dialect that an upstream answers in, so nothing of theirs is passed
  // on as it is.
  const passes = form === "completions" ? undefined : form;
  exchange.journeyBegun = true;
  if (ask.stream) await serveStream(exchange, { side, call, ask, passes });
  else {
    const patient = withClientDeadline(call, http.headers);
    await serveWhole(exchange, { side, call: patient, ask, passes });
  }
}

/** What both ways of answering need. */
interface Question {
  readonly side: ChatClientSide;
  readonly call: Call;
  readonly ask: ChatAsk;
  /** The dialect whose wire form may be sent as it is. */
  readonly passes: DialectName | undefined;
}

async function serveWhole(exchange: Exchange, question: Question): Promise<void> {
  const { side, call, ask, passes } = question;
  const sink = new AnswerSink(passes);
  const outcome = await exchange.house.chat(call, ask, sink);
  const head = createHead(exchange, "application/json", outcome.decision);
  pushCost(head, outcome.cost);
  const body = sink.wire() ?? JSON.stringify(side.writeAnswer(sink.answer(outcome, call)));
  answerBytes(exchange, 200, head, body);
}

async function serveStream(exchange: Exchange, question: Question): Promise<void> {
  const { side, call, ask, passes } = question;
  const sink = new SseSink(exchange, side.createStreamWriter(ask), passes);
  try {
    const outcome = await exchange.house.chat(call, ask, sink);
    sink.end(outcome);
  } catch (thrown) {
    if (!sink.begun) throw thrown;
    sink.fail(thrown);
  } finally {
    sink.close();
  }
}

function findClientSide(exchange: Exchange, form: ChatForm): ChatClientSide {
  const { house } = exchange;
  if (form === "openai") return house.openai.client;
  if (form === "anthropic") return house.anthropic.client;
  if (house.completions !== undefined) return house.completions;
  throw new MeshError(
    "UNIMPLEMENTED",
    "Use /v1/chat/completions; this Weir has no /v1/completions.",
  );
}
