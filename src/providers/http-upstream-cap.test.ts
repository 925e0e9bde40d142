import { expect, it } from "vitest";
import { Cancellation } from "../mesh/cancellation.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import {
  askAnthropic,
  askOpenai,
  createAttempt,
  createTarget,
  dialects,
  serve,
  writeAnswer,
  writeResponse,
} from "./trial.fixture.ts";

const upstream = createHttpUpstream({ clock: new VirtualClock(), dialects });

for (const ask of [askOpenai({ max_tokens: 5_000 }), askAnthropic({ max_tokens: 5_000 })]) {
  it(`sends an attempt's cap of output upstream, asked in the dialect ${ask.dialect}`, async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("x"))));
    const attempt = { ...createAttempt(), cancellation: new Cancellation(), outputTokensMax: 77 };
    const sink = { chunk: () => true, ready: () => Promise.resolve() };
    await upstream.chat(createTarget(server.url), ask, sink, attempt);
    expect(server.requests.join("")).toContain('"max_tokens":77');
  });
}
