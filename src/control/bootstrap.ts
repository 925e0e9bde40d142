import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { ResourceWrite, Store } from "../store/store.ts";
import {
  adminKeyName,
  createEngine,
  createFirstPeople,
  createSimulation,
  createVendor,
  firstKeyName,
  type LocalEngine,
} from "./first-resources.ts";
import { createKeySecret, hashSecret, type NewSecret } from "./key-secret.ts";
import { providerKind } from "./kinds.ts";
import { type Environment, plannedVendors, resolveBaseUrl, vendors } from "./vendors.ts";

/** What the first start finds. */
export interface BootstrapOrder {
  /** Variables of the process: WEIR_ADMIN_KEY, WEIR_BOOTSTRAP_KEY and those of vendors. */
  readonly env: Environment;
  /** Engines that answer on this machine. */
  readonly engines: readonly LocalEngine[];
}

/** What a start did. */
export interface BootstrapReport {
  /** The secrets, to be printed once; undefined when this was not the first start. */
  readonly keys: FirstKeys | undefined;
  /** Names of the providers that were registered. */
  readonly providers: readonly string[];
  /** Models to try, as clients ask for them. */
  readonly models: readonly string[];
  /** What was found and not registered, and what looks wrong, in sentences. */
  readonly notes: readonly string[];
}

/** The first keys. A secret that was given is not shown again: whoever gave it has it. */
export interface FirstKeys {
  readonly admin: FirstKey;
  readonly first: FirstKey;
}

export interface FirstKey {
  readonly name: string;
  readonly secret: string;
  /** True when it came from the environment. */
  readonly given: boolean;
}

/**
 * Fills an empty store, as one revision; leaves any other as it is. Two instances at once: one does
 * it, the other finds it done. Throws INVALID_REQUEST for a weak WEIR_ADMIN_KEY or
 * WEIR_BOOTSTRAP_KEY, and StoreError.
 */
export async function bootstrap(
  context: { readonly store: Store; readonly clock: Clock },
  order: BootstrapOrder,
): Promise<BootstrapReport> {
  const { store, clock } = context;
  const wallMs = Math.floor(clock.wallMs());
  const admin = readSecret(order.env, "WEIR_ADMIN_KEY", wallMs);
  const first = readSecret(order.env, "WEIR_BOOTSTRAP_KEY", wallMs);
  if (admin.secret.text === first.secret.text) {
    throw new MeshError(
      "INVALID_REQUEST",
      "WEIR_ADMIN_KEY and WEIR_BOOTSTRAP_KEY must differ: an administrative key asks no models.",
    );
  }
  if ((await store.revision()) > 0) return await compareKeys(store, { admin, first });
  const found = findProviders(order);
  const people = createFirstPeople(admin.secret, first.secret);
  const outcome = await store.commit({
    writes: [...people, ...found.resources].map(mapWrite),
    actor: "bootstrap",
    reason: "first start",
    requestId: "",
    atMs: wallMs,
  });
  if (outcome.outcome === "conflict") return await compareKeys(store, { admin, first });
  return {
    keys: {
      admin: { name: adminKeyName, secret: admin.secret.text, given: admin.given },
      first: { name: firstKeyName, secret: first.secret.text, given: first.given },
    },
    providers: found.resources.flatMap((resource) => providerKind.unwrap(resource)?.name ?? []),
    models: found.resources.flatMap(({ resource }) =>
      resource.case === "model" ? resource.value.name.slice("models/".length) : [],
    ),
    notes: found.notes,
  };
}

interface GivenSecret {
  readonly secret: NewSecret;
  readonly given: boolean;
}

function readSecret(env: Environment, variable: string, wallMs: number): GivenSecret {
  const given = (env[variable] ?? "").trim();
  try {
    return { secret: createKeySecret(given, wallMs), given: given !== "" };
  } catch (cause) {
    throw new MeshError(
      "INVALID_REQUEST",
      `${variable} must be \`wk_\` and at least 32 of A-Z, a-z, 0-9, - and _, at most 512 ` +
        "characters in all.",
      { cause },
    );
  }
}

/**
 * Every later start: keys in the environment that are not those of the store are only mentioned.
 */
async function compareKeys(
  store: Store,
  keys: { readonly admin: GivenSecret; readonly first: GivenSecret },
): Promise<BootstrapReport> {
  const notes: string[] = [];
  for (const [variable, name, { secret, given }] of [
    ["WEIR_ADMIN_KEY", adminKeyName, keys.admin],
    ["WEIR_BOOTSTRAP_KEY", firstKeyName, keys.first],
  ] as const) {
    if (!given) continue;
    const owner = await store.findKeyBySecret(hashSecret(secret.text));
    if (owner === undefined) {
      notes.push(
        `${variable} is not the secret of any key here: it counts at the first start only. Use ` +
          `RotateKey on ${name}.`,
      );
    } else if (owner.name !== name) {
      notes.push(`${variable} is the secret of ${owner.name}, not of ${name}.`);
    }
  }
  return { keys: undefined, providers: [], models: [], notes };
}

function findProviders({ env, engines }: BootstrapOrder): {
  readonly resources: readonly Resource[];
  readonly notes: readonly string[];
} {
  const resources = createSimulation();
  const notes: string[] = [];
  const taken = new Set(["sim"]);
  for (const vendor of vendors) {
    if ((env[vendor.keyVariable] ?? "").trim() === "") continue;
    const baseUrl = resolveBaseUrl(vendor, env);
    if (baseUrl === undefined) {
      notes.push(`${vendor.urlVariable} holds no URL, so ${vendor.displayName} was left out.`);
      continue;
    }
    taken.add(vendor.name);
    resources.push(...createVendor(vendor, baseUrl));
  }
  for (const [variable, dialect] of plannedVendors) {
    if ((env[variable] ?? "").trim() === "") continue;
    notes.push(`${variable} is set: the dialect ${dialect} is not there yet, so it was left out.`);
  }
  for (const engine of engines) {
    if (taken.has(engine.name) || !providerKind.pattern.test(`providers/${engine.name}`)) {
      notes.push(`The engine at ${engine.baseUrl} was left out: its name is taken or unusable.`);
      continue;
    }
    taken.add(engine.name);
    const made = createEngine(engine);
    resources.push(...made);
    const left = engine.models.length - (made.length - 1);
    if (left > 0) notes.push(`${left} models of ${engine.name} were left out.`);
  }
  return { resources, notes };
}

function mapWrite(resource: Resource): ResourceWrite {
  const { case: kind, value } = resource.resource;
  if (kind === undefined) throw new TypeError("a resource without a body");
  return { name: value.name, kind, body: resource, expected: "absent" };
}
