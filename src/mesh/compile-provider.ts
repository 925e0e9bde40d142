import type { Provider } from "../../gen/weir/admin/v1/provider_pb.ts";
import { SnapshotRefusal } from "./compile-refusal.ts";
import type { ProviderEntry, UpstreamDialect } from "./target.ts";

/** Where a proxy finds the secrets that a credential only names. */
export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The text of a file, at once. Throws when it cannot be read. */
  readonly readFile: (path: string) => string;
}

/**
 * Compiles a provider. A secret that cannot be found is the entry's `fault`, since it is the fault
 * of this proxy's surroundings and hurts nobody else. Throws SnapshotRefusal for a dialect or an
 * address that no proxy could serve.
 */
export function compileProvider(resource: Provider, sources: SecretSources): ProviderEntry {
  const dialect = parseDialect(resource);
  const given = resource.baseUrls.length > 0 ? resource.baseUrls : usualBaseUrls[dialect];
  const found = findSecret(resource, sources);
  return {
    name: resource.name,
    dialect,
    baseUrls: given.map((url) => parseBaseUrl(resource.name, url)),
    secret: found.secret,
    fault: found.fault,
    resource,
  };
}

const usualBaseUrls: Readonly<Record<UpstreamDialect, readonly string[]>> = {
  openai: ["https://api.openai.com/v1"],
  anthropic: ["https://api.anthropic.com/v1"],
  sim: [],
};

interface FoundSecret {
  readonly secret: string | undefined;
  readonly fault: string | undefined;
}

function parseDialect(resource: Provider): UpstreamDialect {
  switch (resource.dialect) {
    case "openai":
    case "anthropic":
    case "sim":
      return resource.dialect;
    default:
      throw new SnapshotRefusal(
        resource.name,
        `The dialect "${resource.dialect}" is unknown: use openai, anthropic or sim.`,
      );
  }
}

function parseBaseUrl(provider: string, text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new SnapshotRefusal(provider, `"${text}" is no base URL: give http://… or https://….`);
  }
  return text.replace(/\/+$/, "");
}

function findSecret(resource: Provider, sources: SecretSources): FoundSecret {
  const source = resource.credential?.source;
  switch (source?.case) {
    case "secret":
      return judgeSecret(source.value, resource.name, "The secret");
    case "env":
      return judgeSecret(
        sources.env[source.value] ?? "",
        resource.name,
        `The environment variable ${source.value}`,
      );
    case "file":
      return readSecretFile(source.value, resource.name, sources);
    case "sealed":
      return fail(`The secret of ${resource.name} came sealed: write the credential again.`);
    case undefined:
      return { secret: undefined, fault: undefined };
  }
}

function readSecretFile(path: string, provider: string, sources: SecretSources): FoundSecret {
  try {
    return judgeSecret(sources.readFile(path), provider, `The file ${path}`);
  } catch {
    return fail(`The file ${path} cannot be read: put the secret of ${provider} there.`);
  }
}

/**
 * A control character within a secret would split the header that carries it; blanks around it are
 * never meant.
 */
function judgeSecret(text: string, provider: string, where: string): FoundSecret {
  const secret = text.trim();
  if (secret === "")
    return fail(`${where} is empty or not set: put the secret of ${provider} there.`);
  if (!/^[\x20-\x7e]+$/.test(secret)) {
    return fail(
      `${where} holds characters that no header can carry: correct the secret of ${provider}.`,
    );
  }
  return { secret, fault: undefined };
}

function fail(fault: string): FoundSecret {
  return { secret: undefined, fault };
}
