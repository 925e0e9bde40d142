import { asMeshError, type MeshError } from "../../mesh/errors.ts";
import type { RpcHouse } from "./rpc-house.ts";

/**
 * Why a request ends before its journey begins. Of a malformed one a stranger hears only that the
 * credential is nobody's, as at the REST doors; only then is one identified here, so that sound
 * requests are not identified twice.
 */
export function mapRefusal(
  house: RpcHouse,
  credential: string | undefined,
  thrown: unknown,
): MeshError {
  const error = asMeshError(thrown);
  if (error.reason !== "INVALID_REQUEST") return error;
  try {
    house.identify(credential);
    return error;
  } catch (stranger) {
    return asMeshError(stranger);
  }
}
