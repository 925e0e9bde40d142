import type { Credential, Provider } from "../../gen/weir/admin/v1/provider_pb.ts";
import {
  checkCount,
  checkHeaders,
  checkNaming,
  checkPrice,
  quote,
  refuse,
} from "./check-fields.ts";
import { refuseUnbuiltProvider } from "./not-yet.ts";
import type { World } from "./world.ts";

const dialects: ReadonlySet<string> = new Set(["openai", "anthropic", "sim"]);

/** Checks a provider as it would be. Returns warnings; throws INVALID_REQUEST or UNIMPLEMENTED. */
export function checkProvider(provider: Provider, world: World): string[] {
  checkNaming("provider", provider);
  refuseUnbuiltProvider(provider);
  if (!dialects.has(provider.dialect)) {
    const known = [...dialects].join(", ");
    refuse("provider.dialect", `${quote(provider.dialect)} is no dialect: use ${known}.`);
  }
  checkCount("provider.base_urls", provider.baseUrls.length, 20);
  for (const url of provider.baseUrls) checkBaseUrl(url);
  if (provider.credential !== undefined) checkCredential(provider.credential);
  checkHeaders("provider.headers", provider.headers);
  if (!/^[A-Za-z0-9._-]{0,63}$/.test(provider.region)) {
    refuse("provider.region", "A region is at most 63 letters, digits, ., _ and -.");
  }
  if (!/^[a-z0-9._-]{0,63}$/.test(provider.catalogue)) {
    refuse("provider.catalogue", "A catalogue's name is at most 63 of a-z, 0-9, ., _ and -.");
  }
  checkCount("provider.prices", Object.keys(provider.prices).length, 1000);
  for (const price of Object.values(provider.prices)) checkPrice("provider.prices", price);
  return warn(provider, world);
}

function warn(provider: Provider, world: World): string[] {
  const warnings: string[] = [];
  if (provider.disabled) {
    const users = [...world.models.values()].filter((model) =>
      model.targets.some((target) => target.provider === provider.name),
    );
    if (users.length > 0) {
      const names = users.slice(0, 5).map((model) => model.name);
      warnings.push(`${provider.name} is disabled, and ${names.join(", ")} would go there.`);
    }
  }
  const source = provider.credential?.source;
  for (const url of provider.baseUrls) {
    const { protocol, hostname } = new URL(url);
    if (protocol === "http:" && source?.case !== undefined && !isLocal(hostname)) {
      warnings.push(`${url} is not encrypted: the credential would travel in the open.`);
    }
  }
  return warnings;
}

function checkBaseUrl(text: string): void {
  const url = text.length > 1000 ? null : URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    refuse("provider.base_urls", `${quote(text)} must be http://… or https://….`);
  }
  if (url.username !== "" || url.password !== "") {
    refuse("provider.base_urls", "A base URL holds no password: use `credential`.");
  }
  if (url.search !== "" || url.hash !== "") {
    refuse("provider.base_urls", `${quote(text)} must end with its path: no ? and no #.`);
  }
}

function checkCredential({ source }: Credential): void {
  switch (source.case) {
    case "env":
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(source.value)) {
        refuse("provider.credential.env", `${quote(source.value)} is no environment variable.`);
      }
      // Else whoever may write providers could send Weir's own secrets to any address.
      if (/^WEIR_/i.test(source.value)) {
        refuse("provider.credential.env", "Weir's own variables (WEIR_…) are not for upstreams.");
      }
      return;
    case "file":
      if (!source.value.startsWith("/") || source.value.length > 1000) {
        refuse("provider.credential.file", "Give the whole path, from / on.");
      }
      return;
    case "secret":
      if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?$/.test(source.value)) {
        refuse(
          "provider.credential.secret",
          "A secret is 1 to 8192 printable ASCII characters, without blanks around it.",
        );
      }
      return;
    case "sealed":
      return;
    case undefined:
      refuse("provider.credential", "Say where the secret is: env, file or secret.");
      break;
    default:
      source satisfies never;
  }
}

function isLocal(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\./.test(host);
}
