import type { IncomingHttpHeaders } from "node:http2";
import type { FloodGuard } from "./flood-guard.ts";
import type { FrameWriter } from "./frame-writer.ts";
import type { ErrorCode } from "./frames.ts";
import type { H2Stream } from "./h2-stream.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { Sender } from "./sender.ts";

/** What those who read frames need of their connection. */
export interface ConnectionCore {
  readonly writer: FrameWriter;
  readonly sender: Sender;
  readonly guard: FloodGuard;
  readonly streams: OpenStreams;
  /** True once the last GOAWAY was sent. */
  readonly refusesStreams: boolean;
  /** Begins to serve a stream. */
  open(id: number): H2Stream;
  /** Leads the request to its door. */
  serve(stream: H2Stream, headers: IncomingHttpHeaders): void;
  /** A stream is over, by its own end or by its peer's reset. */
  close(stream: H2Stream, code: number): void;
  /** Breaks a stream off for what its peer did. Throws ConnectionError when that is too often. */
  fault(stream: H2Stream, code: ErrorCode): void;
  /** The same for a stream that is not open. */
  faultOf(id: number, code: ErrorCode): void;
  /** A ping of ours came back. */
  pingAnswered(): void;
  /** The peer begins no more streams. */
  peerLeaves(): void;
}
