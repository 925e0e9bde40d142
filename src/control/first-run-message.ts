import type { BootstrapReport } from "./bootstrap.ts";

/** Where Weir listens, as clients call it. */
export interface Doors {
  /** Such as `127.0.0.1:8080`. */
  readonly address: string;
  readonly tls: boolean;
}

/**
 * What the first start prints, line by line: the keys, this once, and what to try. A later start
 * has nothing to print. The caller prints it, and never logs it.
 */
export function createFirstRunMessage(report: BootstrapReport, doors: Doors): readonly string[] {
  const { keys } = report;
  if (keys === undefined) return [];
  const base = `${doors.tls ? "https" : "http"}://${doors.address}`;
  const key = keys.first.given ? "$WEIR_BOOTSTRAP_KEY" : keys.first.secret;
  const admin = keys.admin.given ? "$WEIR_ADMIN_KEY" : keys.admin.secret;
  const message = `{"role":"ROLE_USER","parts":[{"text":{"text":"hello"}}]}`;
  const chat = `'{"chat":{"model":"sim/echo","messages":[${message}]}}'`;
  const plaintext = doors.tls ? "" : "-plaintext ";
  const http2 = doors.tls ? "" : "--http2-prior-knowledge ";
  return [
    "",
    "Weir runs for the first time here. Keep these keys; they are not shown again.",
    "",
    `  administrative key   ${keys.admin.given ? "the one in WEIR_ADMIN_KEY" : keys.admin.secret}`,
    "  key of teams/first   " +
      `${keys.first.given ? "the one in WEIR_BOOTSTRAP_KEY" : keys.first.secret}`,
    "",
    `Providers: ${report.providers.join(", ")}`,
    `Models:    ${summarize(report.models)}`,
    ...report.notes.map((note) => `Note:      ${note}`),
    "",
    "Try it, over REST:",
    "",
    `  curl ${base}/v1/chat/completions -H "authorization: Bearer ${key}" -H "content-type: ` +
      `application/json" \\`,
    `    -d '{"model":"sim/echo","messages":[{"role":"user","content":"hello"}]}'`,
    "",
    "over gRPC:",
    "",
    `  buf curl --protocol grpc ${http2}-H "authorization: Bearer ${key}" \\`,
    `    -d ${chat} ${base}/weir.v1.ChatService/CreateChat`,
    "",
    `  grpcurl ${plaintext}-H "authorization: Bearer ${key}" \\`,
    `    -d ${chat} ${doors.address} weir.v1.ChatService/CreateChat`,
    "",
    "with the OpenAI client:",
    "",
    `  OPENAI_BASE_URL=${base}/v1 OPENAI_API_KEY=${key} python -c "from openai import OpenAI; \\`,
    "    print(OpenAI().chat.completions.create(model='sim/echo', " +
      `messages=[{'role':'user','content':'hello'}]))"`,
    "",
    "and as the platform's admin:",
    "",
    `  buf curl --protocol grpc ${http2}-H "authorization: Bearer ${admin}" \\`,
    `    -d '{}' ${base}/weir.admin.v1.AdminService/ListModels`,
    "",
  ];
}

const MODELS_SHOWN = 12;

function summarize(models: readonly string[]): string {
  const shown = models.slice(0, MODELS_SHOWN).join(", ");
  const more = models.length - MODELS_SHOWN;
  return more > 0 ? `${shown} and ${more} more` : shown;
}
