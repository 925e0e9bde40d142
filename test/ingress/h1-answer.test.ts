import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { HttpExchange } from "../../src/ingress/http-exchange.ts";
import { openPort } from "../../src/ingress/port.ts";
import { systemClock } from "../../src/mesh/clock.ts";

/** What a client gets that asks once, and is the last one to close. */
async function ask(serve: (exchange: HttpExchange) => void, more = ""): Promise<string> {
  const where = { host: "127.0.0.1", port: 0, reusePort: false, clock: systemClock };
  const port = await openPort({ ...where, http1: serve, http2: () => {} });
  onTestFinished(() => port.close());
  const socket = connect(port.port, "127.0.0.1");
  socket.write(`GET / HTTP/1.1\r\nHost: weir\r\n${more}Connection: close\r\n\r\n`);
  socket.on("error", () => {});
  let said = "";
  socket.on("data", (bytes) => {
    said += bytes;
  });
  await new Promise((resolve) => socket.on("close", resolve));
  expect(port.openStreams()).toBe(0);
  return said.replace(/date: [^\r]+\r\n/, "");
}

const top = "HTTP/1.1 200 OK\r\n";
const close = "connection: close\r\n\r\n";
const chunked = `${top}transfer-encoding: chunked\r\n${close}`;

describe("an exchange of HTTP/1.1", () => {
  it("sends text and bytes in chunks, and trailers", async () => {
    const answer = await ask((exchange) => {
      exchange.respond(200, []);
      exchange.write("");
      exchange.write("\u00e9");
      exchange.write(Buffer.from("ab"));
      exchange.end("c", ["x-late", "1"]);
    });
    expect(answer).toBe(`${chunked}2\r\n\u00e9\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-late: 1\r\n\r\n`);
  });

  it("sends what is corked with its end, whatever it is", async () => {
    for (const [part, last] of [
      [Buffer.from("\u00e9"), "a"],
      [Buffer.from("\u00e9"), "\u00e9"],
      ["a", "\u00e9"],
      [Buffer.alloc(20_000, "x"), "a"],
    ] as const) {
      const size = (text: Buffer | string) => Buffer.byteLength(text).toString(16);
      const answer = await ask((exchange) => {
        exchange.cork();
        exchange.respond(200, []);
        exchange.write(part);
        exchange.end(last);
      });
      const body = `${size(part)}\r\n${part}\r\n${size(last)}\r\n${last}\r\n0\r\n\r\n`;
      expect(answer).toBe(chunked + body);
    }
  });

  it("sends a header by itself when it is told to", async () => {
    const answer = await ask((exchange) => {
      exchange.respond(200, ["content-length", "1"]);
      exchange.flush();
      exchange.flush();
      exchange.end("a");
    });
    expect(answer).toBe(`${top}content-length: 1\r\n${close}a`);
  });

  for (const body of ["", "a", "abc"]) {
    it(`breaks off visibly when its length was said to be 2 and is ${body.length}`, async () => {
      let code: number | undefined;
      await ask((exchange) => {
        exchange.receiver = {
          takeData: () => true,
          takeEnd: () => {
            exchange.respond(200, ["content-length", "2"]);
            exchange.end(body);
          },
          takeDrain: () => {},
          takeClose: (given) => {
            code = given;
          },
        };
      });
      expect(code).toBe(2);
    });
  }

  it("ignores what comes too late", async () => {
    const answer = await ask((exchange) => {
      exchange.respond(200, ["content-length", "1"]);
      exchange.respond(500, []);
      exchange.end("a");
      exchange.end("b");
      exchange.write("c");
      exchange.flush();
      exchange.reset(8);
      exchange.consume(1);
    });
    expect(answer).toBe(`${top}content-length: 1\r\n${close}a`);
  });

  it("is cut off when its door throws, and the door's keeper is told", async () => {
    const told: unknown[] = [];
    const where = { host: "127.0.0.1", port: 0, reusePort: false, clock: systemClock };
    const port = await openPort({
      ...where,
      http1: () => {
        throw new Error("a fault");
      },
      http2: () => {},
      failed: (error) => told.push(error),
    });
    onTestFinished(() => port.close());
    await expect(fetch(`http://127.0.0.1:${port.port}`)).rejects.toThrow();
    expect(told).toMatchObject([{ message: "a fault" }]);
    await expect.poll(() => port.openStreams()).toBe(0);
  });
});
