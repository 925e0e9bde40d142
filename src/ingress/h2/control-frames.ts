import type { ConnectionCore } from "./connection-core.ts";
import type { Frame } from "./frame-reader.ts";
import * as frame from "./frames.ts";
import { breach, ConnectionError, ErrorCode } from "./frames.ts";
import { readSettings, SETTING_BYTES, type SettingsTaker } from "./settings.ts";

/** The frames that are about the connection, or about a stream as a whole. */
export class ControlFrames implements SettingsTaker {
  readonly #core: ConnectionCore;
  #settled = false;
  /** What the frame at hand says of the windows that streams begin with. */
  #streamWindow = 0;

  constructor(core: ConnectionCore) {
    this.#core = core;
  }

  /** Whether the peer's settings have come, which must be its first frame. */
  get settled(): boolean {
    return this.#settled;
  }

  take(taken: Frame): void {
    switch (taken.type) {
      case frame.SETTINGS:
        this.#takeSettings(taken);
        break;
      case frame.PING:
        this.#takePing(taken);
        break;
      case frame.WINDOW_UPDATE:
        this.#takeWindowUpdate(taken);
        break;
      case frame.RST_STREAM:
        this.#takeReset(taken);
        break;
      case frame.PRIORITY:
        this.#takePriority(taken);
        break;
      case frame.GOAWAY:
        this.#takeGoaway(taken);
        break;
      case frame.PUSH_PROMISE:
        breach("A client promises nothing.");
        break;
      default:
        // An extension that we do not know, which is to be ignored.
        this.#core.guard.spendCheap();
    }
  }

  #takeSettings(taken: Frame): void {
    const { flags, stream, bytes, start, end } = taken;
    const { guard, sender, streams } = this.#core;
    if (stream !== 0) breach("SETTINGS belongs to the connection.");
    guard.spendCheap();
    if ((flags & frame.ACK) !== 0) {
      if (end > start) wrongSize("An acknowledgement of SETTINGS is empty.");
      if (!this.#settled) breach("The first frame is SETTINGS.");
      return;
    }
    this.#settled = true;
    // First, so that the peer knows it before what its new windows let go.
    this.#core.writer.settingsAck();
    this.#streamWindow = sender.streamWindow;
    for (let at = start; at < end; at += SETTING_BYTES) guard.spendCheap();
    readSettings(bytes, start, end, this);
    // Once for a frame, however often it changes its mind: each open stream is concerned.
    if (this.#streamWindow !== sender.streamWindow) {
      sender.changeStreamWindow(this.#streamWindow, streams.list());
    }
  }

  takeTableSize(bytes: number): void {
    this.#core.writer.setTableSize(bytes);
  }

  takeStreamWindow(bytes: number): void {
    this.#streamWindow = bytes;
  }

  #takePing(taken: Frame): void {
    const { flags, stream, bytes, start, end } = taken;
    if (stream !== 0) breach("PING belongs to the connection.");
    if (end - start !== 8) wrongSize("PING has eight bytes.");
    this.#core.guard.spendCheap();
    if ((flags & frame.ACK) !== 0) this.#core.pingAnswered();
    else this.#core.writer.ping(bytes.subarray(start, end), true);
  }

  /** The peer begins no more streams; what it began is served. */
  #takeGoaway(taken: Frame): void {
    if (taken.stream !== 0) breach("GOAWAY belongs to the connection.");
    if (taken.end - taken.start < 8) wrongSize("GOAWAY is cut off.");
    this.#core.guard.spendCheap();
    this.#core.peerLeaves();
  }

  #takeWindowUpdate(taken: Frame): void {
    const { stream: id, bytes, start, end } = taken;
    if (end - start !== 4) wrongSize("WINDOW_UPDATE has four bytes.");
    const increment = bytes.readUInt32BE(start) & 0x7fff_ffff;
    const { guard, sender, streams } = this.#core;
    guard.spendCheap();
    if (id === 0) {
      if (increment === 0) breach("WINDOW_UPDATE opens nothing.");
      sender.openConnection(increment);
      return;
    }
    const stream = streams.find(id);
    if (stream === undefined) {
      if (streams.explain(id) === "idle") breach("WINDOW_UPDATE for no stream.");
    } else if (increment === 0) this.#core.fault(stream, ErrorCode.PROTOCOL_ERROR);
    else if (!sender.openStream(stream, increment)) {
      this.#core.fault(stream, ErrorCode.FLOW_CONTROL_ERROR);
    }
  }

  #takeReset(taken: Frame): void {
    const { stream: id, bytes, start, end } = taken;
    if (end - start !== 4) wrongSize("RST_STREAM has four bytes.");
    const { guard, streams } = this.#core;
    const code = bytes.readUInt32BE(start);
    const stream = streams.find(id);
    if (stream !== undefined) {
      this.#core.close(stream, code);
      guard.spendFault();
      return;
    }
    const why = streams.explain(id);
    if (why === "idle") breach("RST_STREAM for no stream.");
    // Whether our answer was faster than the reset is chance; the work is the same.
    if (why === "closed" && code !== ErrorCode.NO_ERROR) guard.spendFault();
    else guard.spendCheap();
  }

  /** Nobody heeds priorities any more; but the frame must be sound. */
  #takePriority(taken: Frame): void {
    const { stream, bytes, start, end } = taken;
    if (stream === 0) breach("PRIORITY belongs to a stream.");
    if (end - start !== 5) wrongSize("PRIORITY has five bytes.");
    if ((bytes.readUInt32BE(start) & 0x7fff_ffff) === stream) breach("A stream needs another.");
    this.#core.guard.spendCheap();
  }
}

function wrongSize(message: string): never {
  throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, message);
}
