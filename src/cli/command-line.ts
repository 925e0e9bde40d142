import type { Command, Environment } from "./command.ts";
import { outliveReader } from "./output.ts";
import { describeOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

/** Each command is loaded when it is called, so that no command pays for another's imports. */
const commands: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  serve: () => import("./serve.ts"),
  control: () => import("./control.ts"),
  proxy: () => import("./proxy.ts"),
  sim: () => import("./sim.ts"),
  chat: () => import("./chat.ts"),
  embed: () => import("./embed.ts"),
  models: () => import("./models.ts"),
  get: () => import("./get.ts"),
  describe: () => import("./describe.ts"),
  apply: () => import("./apply.ts"),
  delete: () => import("./delete.ts"),
  keys: () => import("./keys.ts"),
  usage: () => import("./usage.ts"),
  tail: () => import("./tail.ts"),
  request: () => import("./request.ts"),
  quota: () => import("./quota.ts"),
  alerts: () => import("./alerts.ts"),
  revisions: () => import("./revisions.ts"),
  rollback: () => import("./rollback.ts"),
  doctor: () => import("./doctor.ts"),
  db: () => import("./db.ts"),
};

const servers: ReadonlySet<string> = new Set(["serve", "control", "proxy", "sim"]);

/**
 * Runs one command line. Resolves with the exit code: 0 for success, 1 for failure, 2 for a wrong
 * line.
 */
export async function runCommandLine(args: readonly string[], env: Environment): Promise<number> {
  const [name = "help", ...rest] = args;
  outliveReader(servers.has(name));
  if (name === "help" || name === "--help" || name === "-h") {
    process.stdout.write(await describeCommands());
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    process.stderr.write(`weir: there is no command "${name}"; \`weir help\` lists them\n`);
    return 2;
  }
  const { command } = await load();
  if (rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(describeCommand(command));
    return 0;
  }
  try {
    return await command.run(rest, env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`weir ${name}: ${error.message}\n`);
    return 2;
  }
}

async function describeCommands(): Promise<string> {
  const loaded = await Promise.all(Object.values(commands).map((load) => load()));
  const width = Math.max(...loaded.map(({ command }) => command.name.length)) + 2;
  const rows = loaded.map(({ command }) => `  ${command.name.padEnd(width)}${command.summary}`);
  return `Usage: weir COMMAND [OPTION…]\n\n${rows.join("\n")}\n\n\`weir COMMAND --help\` tells more.\n`;
}

function describeCommand(command: Command): string {
  const head = `Usage: weir ${command.name} ${command.synopsis}`.trimEnd();
  return `${head}\n\n${command.summary}\n\n${describeOptions(command.options)}\n`;
}
