import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

/** How one attempt is made. */
export interface Attempt {
  /** Time that is left. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** A way to call: gRPC or Connect. Every error that it throws is a WeirError. */
export interface Caller {
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    input: MessageInitShape<I>,
    attempt: Attempt,
  ): Promise<MessageShape<O>>;
  /** Breaking off the iteration cancels the call. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    input: MessageInitShape<I>,
    attempt: Attempt,
  ): AsyncIterable<MessageShape<O>>;
  /** Ends the connection. Calls under way fail. */
  close(): void;
}
