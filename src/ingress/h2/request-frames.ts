import type { ConnectionCore } from "./connection-core.ts";
import type { DecodedFields } from "./decoded-fields.ts";
import type { FloodGuard } from "./flood-guard.ts";
import type { Frame } from "./frame-reader.ts";
import * as frame from "./frames.ts";
import { breach, ConnectionError, ErrorCode } from "./frames.ts";
import type { H2Stream } from "./h2-stream.ts";
import { HeaderBlock } from "./header-block.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import type { OpenStreams } from "./open-streams.ts";
import { contentEnd, contentStart } from "./payload.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { HEADER_LIST_BYTES_MAX, HEADER_TABLE_BYTES, STREAMS_MAX } from "./settings.ts";

/** HEADERS, CONTINUATION and DATA: the frames that requests are made of. */
export class RequestFrames {
  readonly #core: ConnectionCore;
  readonly #streams: OpenStreams;
  readonly #guard: FloodGuard;
  readonly #hpack = new HpackDecoder({
    tableBytesMax: HEADER_TABLE_BYTES,
    listBytesMax: HEADER_LIST_BYTES_MAX,
  });
  readonly #block = new HeaderBlock();
  readonly #window = new ReceiveWindow(CONNECTION_WINDOW_BYTES);

  constructor(core: ConnectionCore) {
    this.#core = core;
    this.#streams = core.streams;
    this.#guard = core.guard;
  }

  /** The stream whose header block is incomplete; nothing but its rest may come. 0 for none. */
  get unfinishedBlock(): number {
    return this.#block.stream;
  }

  takeHeaders(taken: Frame): void {
    const { stream, flags, bytes } = taken;
    if (stream % 2 === 0) breach("A client's streams have odd numbers.");
    const end = contentEnd(taken);
    let start = contentStart(taken);
    if ((flags & frame.HAS_PRIORITY) !== 0) {
      if (start + PRIORITY_BYTES > end) breach("HEADERS is too short for its priority.");
      if ((bytes.readUInt32BE(start) & 0x7fff_ffff) === stream) breach("A stream needs another.");
      start += PRIORITY_BYTES;
    }
    const endsStream = (flags & frame.END_STREAM) !== 0;
    if ((flags & frame.END_HEADERS) !== 0) {
      this.#takeFields(stream, endsStream, this.#hpack.decode(bytes, start, end));
    } else this.#block.begin(stream, endsStream, bytes.subarray(start, end));
  }

  takeContinuation(taken: Frame): void {
    const { stream, flags, bytes, start, end } = taken;
    const block = this.#block;
    if (block.stream === 0) breach("CONTINUATION continues nothing.");
    if (start === end) this.#guard.spendCheap();
    block.add(bytes.subarray(start, end));
    if ((flags & frame.END_HEADERS) === 0) return;
    const { endsStream } = block;
    const whole = block.finish();
    this.#takeFields(stream, endsStream, this.#hpack.decode(whole, 0, whole.length));
  }

  takeData(taken: Frame): void {
    const { stream: id, flags, bytes } = taken;
    if (id === 0) breach("DATA belongs to a stream.");
    const length = taken.end - taken.start;
    if (!this.#window.take(length)) overrun();
    const end = contentEnd(taken);
    const start = contentStart(taken);
    const stream = this.#streams.find(id);
    if (stream === undefined || stream.requestEnded) {
      this.#refuseData(id, stream, length);
      return;
    }
    if (!stream.receiveWindow.take(length)) {
      this.#core.fault(stream, ErrorCode.FLOW_CONTROL_ERROR);
      this.consumeOfConnection(length);
      return;
    }
    const endsStream = (flags & frame.END_STREAM) !== 0;
    if (start < end) this.#guard.earn();
    else if (!endsStream) this.#guard.spendCheap();
    this.#deliver(stream, { bytes, start, end, padding: length - (end - start) });
    if (endsStream && !stream.closed) this.#endRequest(stream, undefined);
  }

  /** The receiver of a stream has used bytes of it. */
  consume(stream: H2Stream, bytes: number): void {
    stream.unused -= bytes;
    this.consumeOfConnection(bytes);
    const opened = stream.receiveWindow.consume(bytes);
    if (opened > 0 && !stream.requestEnded) this.#core.writer.windowUpdate(stream.id, opened);
  }

  /** Bytes that no stream will use. */
  consumeOfConnection(bytes: number): void {
    const opened = this.#window.consume(bytes);
    if (opened > 0) this.#core.writer.windowUpdate(0, opened);
  }

  /** Tells the peer of the connection's window, which no setting can. */
  announceWindow(): void {
    this.#core.writer.windowUpdate(0, CONNECTION_WINDOW_BYTES - frame.WINDOW_BYTES_DEFAULT);
  }

  #takeFields(id: number, endsStream: boolean, fields: DecodedFields): void {
    const stream = this.#streams.find(id);
    if (stream !== undefined) this.#takeTrailers(stream, endsStream, fields);
    else if (id > this.#streams.lastId) this.#takeRequest(id, endsStream, fields);
    else if (this.#streams.explain(id) === "skipped") breach("A stream's number goes down.");
    else if (this.#streams.explain(id) === "closed") {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, "HEADERS for a stream that is over.");
    } else this.#guard.spendCheap();
  }

  #takeRequest(id: number, endsStream: boolean, fields: DecodedFields): void {
    const core = this.#core;
    this.#streams.begin(id);
    if (core.refusesStreams || this.#streams.size >= STREAMS_MAX) {
      core.faultOf(id, ErrorCode.REFUSED_STREAM);
      return;
    }
    const bodyLeft = readLength(fields.headers["content-length"]);
    const impossible =
      Number.isNaN(bodyLeft) || (endsStream && bodyLeft !== undefined && bodyLeft > 0);
    if (fields.tooLarge) {
      core.writer.headers(id, TOO_LARGE, true);
      if (endsStream) this.#guard.spendFault();
      else core.faultOf(id, ErrorCode.NO_ERROR);
    } else if (fields.requestFlaw !== undefined || impossible) {
      core.faultOf(id, ErrorCode.PROTOCOL_ERROR);
    } else {
      const stream = core.open(id);
      stream.bodyLeft = bodyLeft;
      if (endsStream) stream.endRequest();
      core.serve(stream, fields.headers);
      if (endsStream) stream.receiver.takeEnd(undefined);
    }
  }

  #takeTrailers(stream: H2Stream, endsStream: boolean, fields: DecodedFields): void {
    if (stream.requestEnded) this.#core.fault(stream, ErrorCode.STREAM_CLOSED);
    else if (!endsStream || fields.trailersFlaw !== undefined || fields.tooLarge) {
      this.#core.fault(stream, ErrorCode.PROTOCOL_ERROR);
    } else this.#endRequest(stream, fields);
  }

  #endRequest(stream: H2Stream, trailers: DecodedFields | undefined): void {
    if (stream.bodyLeft !== undefined && stream.bodyLeft > 0) {
      this.#core.fault(stream, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.endRequest();
    stream.receiver.takeEnd(trailers?.headers);
    if (stream.answerSent && !stream.closed) this.#core.close(stream, ErrorCode.NO_ERROR);
  }

  #deliver(stream: H2Stream, part: Part): void {
    const { start, end } = part;
    const length = end - start;
    stream.unused += length + part.padding;
    if (stream.bodyLeft !== undefined) {
      stream.bodyLeft -= length;
      if (stream.bodyLeft < 0) {
        this.#core.fault(stream, ErrorCode.PROTOCOL_ERROR);
        return;
      }
    }
    const isUsed = length === 0 || stream.receiver.takeData(part.bytes.subarray(start, end));
    if (stream.closed) return;
    const used = isUsed ? length + part.padding : part.padding;
    if (used > 0) this.consume(stream, used);
  }

  /** Data for a stream that takes none. */
  #refuseData(id: number, stream: H2Stream | undefined, length: number): void {
    if (stream !== undefined) this.#core.fault(stream, ErrorCode.STREAM_CLOSED);
    else {
      const why = this.#streams.explain(id);
      if (why === "idle") breach("DATA for a stream that was never begun.");
      if (why === "reset") this.#guard.spendCheap();
      else this.#core.faultOf(id, ErrorCode.STREAM_CLOSED);
    }
    this.consumeOfConnection(length);
  }
}

/** What a DATA frame brought. */
interface Part {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Bytes that count and mean nothing. */
  readonly padding: number;
}

/** What a peer may send on a whole connection before it hears from us. */
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
const PRIORITY_BYTES = 5;
const TOO_LARGE = [":status", "431", "content-length", "0"];

/** NaN for what is no length. */
function readLength(field: string | undefined): number | undefined {
  if (field === undefined) return undefined;
  return /^[0-9]{1,15}$/.test(field) ? Number(field) : Number.NaN;
}

function overrun(): never {
  throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "More data than the window lets.");
}
