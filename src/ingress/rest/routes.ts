import { MeshError } from "../../mesh/errors.ts";
import type { HttpExchange } from "../http-exchange.ts";
import { serveChat } from "./chat-route.ts";
import { serveCount } from "./count-route.ts";
import { serveEmbed } from "./embed-route.ts";
import type { Exchange } from "./exchange.ts";
import { serveKey } from "./key-route.ts";
import { serveMetrics } from "./metrics-route.ts";
import { serveModel, serveModels } from "./models-route.ts";
import { serveHealth, serveReadiness } from "./probes.ts";

/** What there is behind one path. */
export interface Route {
  /** Without `/v1`. Ends in a slash when a parameter follows. */
  readonly path: string;
  readonly method: "GET" | "POST";
  /**
   * Who may come: anybody, or only who shows a key, which the door checks before the route sees
   * anything; or whom the route itself lets in.
   */
  readonly access: "open" | "key" | "own";
  /** Whose error objects it answers with. */
  errors(http: HttpExchange): "openai" | "anthropic";
  serve(exchange: Exchange): void | Promise<void>;
}

/** The one table of the REST door. A route that is not in it does not exist. */
export const routes: readonly Route[] = [
  post("/chat/completions", openaiErrors, (exchange) => serveChat(exchange, "openai")),
  post("/completions", openaiErrors, (exchange) => serveChat(exchange, "completions")),
  post("/embeddings", openaiErrors, serveEmbed),
  post("/messages", anthropicErrors, (exchange) => serveChat(exchange, "anthropic")),
  post("/messages/count_tokens", anthropicErrors, serveCount),
  get("/models", "key", modelErrors, serveModels),
  get("/models/", "key", modelErrors, serveModel),
  get("/key", "key", openaiErrors, serveKey),
  get("/auth/key", "key", openaiErrors, serveKey),
  get("/healthz", "open", openaiErrors, serveHealth),
  get("/readyz", "open", openaiErrors, serveReadiness),
  get("/metrics", "own", openaiErrors, serveMetrics),
];

/** A route that was found. */
export interface RouteMatch {
  readonly route: Route;
  readonly parameter: string;
}

/** By path; with and without `/v1`. */
const byPath: ReadonlyMap<string, RouteMatch> = new Map(
  routes
    .filter((route) => !route.path.endsWith("/"))
    .flatMap((route) => {
      const match = { route, parameter: "" };
      return [
        [route.path, match],
        [`/v1${route.path}`, match],
      ];
    }),
);

const byPrefix = routes.filter((route) => route.path.endsWith("/"));

/**
 * The route of a request's target. Paths are compared as they are, byte by byte: what is not
 * spelled like the table is not in it, so that no two readers of a path can disagree.
 */
export function findRoute(target: string): RouteMatch | undefined {
  const path = cutPath(target);
  const exact = byPath.get(path);
  if (exact !== undefined) return exact;
  const below = path.startsWith("/v1/") ? path.slice(3) : path;
  for (const route of byPrefix) {
    if (below.length > route.path.length && below.startsWith(route.path)) {
      return { route, parameter: below.slice(route.path.length) };
    }
  }
  return undefined;
}

/** What answers where there is no route: everybody may come, and hears that there is nothing. */
export const nowhere: Route = {
  path: "",
  method: "GET",
  access: "open",
  errors: (http) => (cutPath(http.url).includes("/messages") ? "anthropic" : "openai"),
  serve: () => {
    const list = routes.map((route) => `${route.method} /v1${route.path}`).join(", ");
    throw new MeshError("ROUTE_NOT_FOUND", `There is no such route. There are: ${list}.`);
  },
};

/** The path of a request's target, which may be a whole address when a proxy sent it. */
function cutPath(target: string): string {
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  if (path.startsWith("/")) return path;
  const authority = path.indexOf("://");
  const slash = authority < 0 ? -1 : path.indexOf("/", authority + 3);
  return slash < 0 ? "" : path.slice(slash);
}

function post(path: string, errors: Route["errors"], serve: Route["serve"]): Route {
  return { path, method: "POST", access: "key", errors, serve };
}

function get(
  path: string,
  access: Route["access"],
  errors: Route["errors"],
  serve: Route["serve"],
): Route {
  return { path, method: "GET", access, errors, serve };
}

function openaiErrors(): "openai" {
  return "openai";
}

function anthropicErrors(): "anthropic" {
  return "anthropic";
}

/** Both vendors have this path; Anthropic's clients always say their version. */
function modelErrors(http: HttpExchange): "openai" | "anthropic" {
  return http.headers["anthropic-version"] === undefined ? "openai" : "anthropic";
}
