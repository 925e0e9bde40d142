import type { House } from "../house.ts";

/** What the RPC doors need of the house. */
export type RpcHouse = Pick<
  House,
  | "clock"
  | "chat"
  | "embed"
  | "identify"
  | "listModels"
  | "findModel"
  | "readiness"
  | "refused"
  | "revision"
>;
