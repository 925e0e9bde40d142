import { MeshError } from "../../mesh/errors.ts";
import type { House } from "../house.ts";
import type { HttpExchange } from "../http-exchange.ts";
import { answerError } from "./answer.ts";
import { openRestCall } from "./arrival.ts";
import { Caller, type Exchange, identifyCaller } from "./exchange.ts";
import { defaultRestOptions, type RestOptions } from "./options.ts";
import { findRoute, nowhere } from "./routes.ts";

/** Serves one request. Never throws; the answer is complete some time later. */
export type RestDoor = (http: HttpExchange) => void;

/** The REST door: OpenAI's and Anthropic's routes, the models and the probes. */
export function createRestDoor(house: House, options: Partial<RestOptions> = {}): RestDoor {
  const settled = { ...defaultRestOptions, ...options };
  const load = { bytes: 0 };
  return (http) => {
    const match = findRoute(http.url);
    const route = match?.route ?? nowhere;
    const door = route.errors(http);
    const exchange: Exchange = {
      house,
      options: settled,
      route,
      parameter: match?.parameter ?? "",
      http,
      caller: new Caller(),
      call: openRestCall(http.headers, door, house.clock),
      journeyBegun: false,
      load,
      bodyBytes: 0,
    };
    exchange.caller.watch(exchange);
    void serve(exchange);
  };
}

async function serve(exchange: Exchange): Promise<void> {
  const { route, http } = exchange;
  try {
    if (!isMethodServed(route.method, http.method) && route !== nowhere) {
      refuseMethod(exchange);
      return;
    }
    // Before the body: a stranger shall not make us read, inflate and parse megabytes.
    if (route.access === "key") identifyCaller(exchange);
    await route.serve(exchange);
  } catch (thrown) {
    answerError(exchange, thrown);
  }
}

function isMethodServed(served: "GET" | "POST", asked: string | undefined): boolean {
  return asked === served || (served === "GET" && asked === "HEAD");
}

function refuseMethod(exchange: Exchange): void {
  const allowed = exchange.route.method === "GET" ? "GET, HEAD" : "POST";
  const error = new MeshError("METHOD_NOT_ALLOWED", `This route takes ${allowed} only.`);
  answerError(exchange, error, ["allow", allowed]);
}
