import { constants, createGunzip, type Gunzip } from "node:zlib";
import { MeshError } from "../mesh/errors.ts";
import type { AnswerBody, BodyFlow } from "./answer-body.ts";

/**
 * Unpacks a body that came in gzip although nobody asked for it, for an inner body that does not
 * know.
 */
export class GunzipBody implements AnswerBody {
  readonly #gunzip: Gunzip;
  readonly #flow: BodyFlow;

  /**
   * `createInner` makes the body that takes the plain bytes; the flow that it gets stops the
   * unpacking.
   */
  constructor(flow: BodyFlow, createInner: (flow: BodyFlow) => AnswerBody) {
    // A stream's events come in small pieces that must not wait within the decoder for more.
    const gunzip = createGunzip({ flush: constants.Z_SYNC_FLUSH });
    const inner = createInner({
      pause: () => gunzip.pause(),
      resume: () => gunzip.resume(),
      fail: (error) => flow.fail(error),
    });
    gunzip.on("data", (bytes: Buffer) => inner.push(bytes));
    gunzip.on("end", () => inner.end());
    gunzip.on("drain", () => flow.resume());
    gunzip.on("error", (cause) => {
      const details = { cause, internal: `gzip: ${cause.message}` };
      flow.fail(
        new MeshError(
          "UPSTREAM_GARBLED",
          "The upstream's answer cannot be unpacked. Try again.",
          details,
        ),
      );
    });
    this.#gunzip = gunzip;
    this.#flow = flow;
  }

  push(bytes: Buffer): void {
    if (!this.#gunzip.write(bytes)) this.#flow.pause();
  }

  end(): void {
    this.#gunzip.end();
  }

  drop(): void {
    this.#gunzip.removeAllListeners("data");
    this.#gunzip.removeAllListeners("end");
    this.#gunzip.destroy();
  }
}
