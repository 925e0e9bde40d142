import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable, Writable } from "node:stream";

/** A request and its response as connect-node's types have them. */
export interface NodePair {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/**
 * For connect-node, whose types name node's own classes although it uses a few of their members
 * only: those that the form has too.
 */
export function asNodePair(request: Readable, response: Writable): NodePair {
  return { request, response } as NodePair;
}
