import type { StreamReader } from "../dialects/dialect.ts";
import { SseFramer } from "../dialects/sse.ts";
import type { ChatChunk } from "../mesh/chunk.ts";
import { asMeshError } from "../mesh/errors.ts";
import type { UpstreamEnd, UpstreamSink } from "../mesh/upstream.ts";
import type { AnswerBody, BodyFlow } from "./answer-body.ts";
import { asPoison } from "./poison.ts";

const FRAME_END = Buffer.from("\n\n");

/**
 * Reads a body of SSE frames as it comes and pushes one chunk into the sink for each read of the
 * socket. HTTP/1.1 brings each event as a piece of its own, dozens within one read: they are
 * gathered until the parser has finished with the read, which costs one tick for all of them and
 * saves a chunk, an encoding and a write for each.
 */
export class StreamBody implements AnswerBody {
  readonly #flow: BodyFlow;
  readonly #sink: UpstreamSink;
  readonly #succeed: (end: UpstreamEnd) => void;
  readonly #reader: StreamReader;
  readonly #framer = new SseFramer();
  #pieces: Buffer[] = [];
  /** A flush has been put off until the parser is done with this read. */
  #scheduled = false;
  /** The sink is behind: what still comes is kept until it is ready. */
  #behind = false;
  /** The upstream has closed the body. */
  #complete = false;
  /** The exchange is over. */
  #done = false;

  constructor(
    flow: BodyFlow,
    sink: UpstreamSink,
    reader: StreamReader,
    succeed: (end: UpstreamEnd) => void,
  ) {
    this.#flow = flow;
    this.#sink = sink;
    this.#reader = reader;
    this.#succeed = succeed;
  }

  push(bytes: Buffer): void {
    if (this.#done) return;
    this.#pieces.push(bytes);
    if (this.#scheduled || this.#behind) return;
    this.#scheduled = true;
    process.nextTick(flushBody, this);
  }

  end(): void {
    this.#complete = true;
    this.flush();
  }

  drop(): void {
    this.#done = true;
    this.#pieces = [];
  }

  /**
   * Passes on what has been gathered. Any throw beneath is a fault of this one answer and fails
   * this one exchange.
   */
  flush(): void {
    this.#scheduled = false;
    if (this.#done || this.#behind) return;
    try {
      const frames = this.#takeFrames();
      const chunk = frames === undefined ? undefined : this.#read(frames);
      const last = this.#complete || this.#reader.ended;
      const taken = chunk === undefined || this.#sink.chunk(chunk, last);
      if (last) {
        this.#done = true;
        this.#succeed(this.#end());
      } else if (!taken) {
        this.#wait();
      }
    } catch (thrown) {
      this.#done = true;
      this.#flow.fail(asMeshError(thrown));
    }
  }

  #takeFrames(): Buffer | undefined {
    const [first] = this.#pieces;
    if (first === undefined) return this.#complete ? this.#takeRest() : undefined;
    const bytes = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    this.#pieces = [];
    const frames = this.#framer.push(bytes);
    if (!this.#complete) return frames;
    const rest = this.#takeRest();
    if (frames === undefined || rest === undefined) return frames ?? rest;
    return Buffer.concat([frames, rest]);
  }

  /**
   * Some servers leave out the last blank line. What is no whole event even so, the reader refuses.
   */
  #takeRest(): Buffer | undefined {
    const rest = this.#framer.rest();
    return rest.length === 0 ? undefined : Buffer.concat([rest, FRAME_END]);
  }

  #read(frames: Buffer): ChatChunk | undefined {
    try {
      return this.#reader.read(frames);
    } catch (thrown) {
      throw asPoison(thrown);
    }
  }

  #end(): UpstreamEnd {
    try {
      return this.#reader.end();
    } catch (thrown) {
      throw asPoison(thrown);
    }
  }

  #wait(): void {
    this.#behind = true;
    this.#flow.pause();
    this.#sink.ready().then(
      () => {
        this.#behind = false;
        this.flush();
        if (!this.#done && !this.#behind) this.#flow.resume();
      },
      (thrown: unknown) => this.#flow.fail(asMeshError(thrown)),
    );
  }
}

function flushBody(body: StreamBody): void {
  body.flush();
}
