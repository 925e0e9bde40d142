import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { MeshError } from "../../../mesh/errors.ts";
import { BodyPieces } from "../../body-pieces.ts";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import { FRAME_PREFIX_BYTES } from "./back-writer.ts";

/** Puts the one message of a request together from the pieces that the network brings. */
export class MessageReader {
  readonly #pieces = new BodyPieces();
  /** Prefix included; undefined until the prefix is there. */
  #expected: number | undefined;

  /**
   * Takes a piece. Throws REQUEST_TOO_LARGE as soon as the prefix says so, and UNIMPLEMENTED for a
   * second message.
   */
  take(piece: Buffer): void {
    const pieces = this.#pieces;
    pieces.add(piece);
    if (this.#expected === undefined) {
      if (pieces.bytes < FRAME_PREFIX_BYTES) return;
      const bytes = pieces.join().readUInt32BE(1);
      if (bytes > MESSAGE_BYTES_MAX) throw createTooLargeError();
      this.#expected = FRAME_PREFIX_BYTES + bytes;
    }
    if (pieces.bytes > this.#expected) {
      throw new MeshError("UNIMPLEMENTED", "This method takes one message, and more were sent.");
    }
  }

  get empty(): boolean {
    return this.#pieces.bytes === 0;
  }

  /** True until the whole message is there. */
  get incomplete(): boolean {
    return this.#expected === undefined || this.#pieces.bytes < this.#expected;
  }

  /**
   * The message, once the request has ended. Throws INVALID_REQUEST when it is not whole, and
   * UNIMPLEMENTED for an encoding that is not known. A promise only when it has to be inflated.
   */
  read(encoding: string | undefined): Buffer | Promise<Buffer> {
    if (this.incomplete) {
      const text = "The request ended before its message did. Send one message in gRPC framing.";
      throw new MeshError("INVALID_REQUEST", text);
    }
    const frame = this.#pieces.join();
    const message = frame.subarray(FRAME_PREFIX_BYTES);
    switch (frame[0]) {
      case 0:
        return message;
      case 1:
        return inflate(message, encoding);
      default:
        throw new MeshError("INVALID_REQUEST", "The message has flags that gRPC does not know.");
    }
  }
}

/** Throws UNIMPLEMENTED unless messages in this encoding can be read. */
export function assertEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === "identity" || encoding === "gzip") return;
  throw new MeshError("UNIMPLEMENTED", "grpc-encoding must be gzip or identity.");
}

const gunzipAsync = promisify(gunzip);

async function inflate(message: Buffer, encoding: string | undefined): Promise<Buffer> {
  if (encoding !== "gzip") {
    const text = "The message is marked as compressed, and grpc-encoding does not say how.";
    throw new MeshError("INVALID_REQUEST", text);
  }
  try {
    return await gunzipAsync(message, { maxOutputLength: MESSAGE_BYTES_MAX });
  } catch (thrown) {
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    if (code === "ERR_BUFFER_TOO_LARGE") throw createTooLargeError();
    throw new MeshError("INVALID_REQUEST", "The message is marked as gzip, and is not.", {
      cause: thrown,
    });
  }
}

function createTooLargeError(): MeshError {
  const cap = `${MESSAGE_BYTES_MAX} bytes (32 MiB)`;
  return new MeshError("REQUEST_TOO_LARGE", `The request is larger than the cap of ${cap}.`);
}
