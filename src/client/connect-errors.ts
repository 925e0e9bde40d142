import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { decodeWeirError, WeirError } from "./weir-error.ts";

/** Whatever a call through connect threw, as a WeirError. */
export function asWeirError(thrown: unknown, signal?: AbortSignal): WeirError {
  if (thrown instanceof WeirError) return thrown;
  const error = ConnectError.from(thrown);
  const aborted = error.code === 1 && signal?.aborted === true;
  return decodeWeirError({
    code: error.code,
    message: aborted ? "The call was aborted." : error.rawMessage,
    status: encodeDetails(error),
    requestId: error.metadata.get("x-request-id") ?? undefined,
    cause: aborted ? signal.reason : thrown,
  });
}

function encodeDetails(error: ConnectError): Uint8Array {
  const details = error.details.flatMap((detail) =>
    "type" in detail
      ? [{ typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value }]
      : [],
  );
  return toBinary(StatusSchema, create(StatusSchema, { details }));
}
