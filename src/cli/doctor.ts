import { readFileSync } from "node:fs";
import { z } from "zod";
import { createAdminClient } from "../client/admin.ts";
import { systemClock } from "../mesh/clock.ts";
import type { Command } from "./command.ts";
import { adminOptions, connectionShape, outputOption, outputShape } from "./connection.ts";
import { checkByAdmin } from "./doctor/admin.ts";
import { broken, doubtful, type Finding } from "./doctor/finding.ts";
import { checkDataDirectory, checkDescriptors, checkNode } from "./doctor/machine.ts";
import { checkPort } from "./doctor/port.ts";
import { readDescriptorLimit } from "./max-connections.ts";
import { print, printJson, toCell } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  "data-dir": {
    value: "DIR",
    help: "where Weir on this machine keeps everything; default .weir",
    env: "WEIR_DATA_DIR",
  },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  "data-dir": z.string().min(1).default(".weir"),
});

/**
 * `weir doctor`: what is wrong with this installation, and how to mend it. Exit code 1 when
 * something is broken.
 */
export const command: Command = {
  name: "doctor",
  summary: "Say what is wrong with this installation, and how to mend it.",
  synopsis: "[OPTION…]",
  options,
  run: async (args, env) => {
    const { options: given } = readOptions(args, options, schema, env);
    const findings: Finding[] = [];
    const tell = (...found: readonly Finding[]): void => {
      findings.push(...found);
      if (given.output === "table") for (const each of found) print(formatFinding(each));
    };
    const local = isLocal(given.address);
    tell(checkNode(process.versions.node));
    if (local) tell(...checkDescriptors(readDescriptorLimit()));
    tell(...checkDataDirectory(given["data-dir"], env, local));
    const ca = given.ca === undefined ? undefined : readFileSync(given.ca, "utf8");
    const port = await checkPort({ address: given.address, ca }, systemClock);
    const policy = port.reached ? await checkPolicy(given, ca) : [];
    const said = policy.map(({ what }) => what).join("\n");
    // What one proxy says of itself, the control process knows of all.
    tell(...port.findings.filter(({ fault }) => fault === undefined || !said.includes(fault)));
    tell(...policy);
    if (given.output === "json") printJson(findings);
    return findings.some(({ state }) => state === "broken") ? 1 : 0;
  },
};

async function checkPolicy(
  { address, key }: Pick<z.output<typeof schema>, "address" | "key">,
  ca: string | undefined,
): Promise<Finding[]> {
  if (key === undefined) {
    const mend = "Set WEIR_ADMIN_KEY to an administrative key, and run this again.";
    return [doubtful("without a key, proxies and policy cannot be checked", mend)];
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    return [
      broken("the key holds blanks or strange characters", "A key is wk_… and nothing else."),
    ];
  }
  const client = createAdminClient({ address, key, tls: ca === undefined ? {} : { ca } });
  try {
    return await checkByAdmin(client.admin, address, systemClock.wallMs());
  } finally {
    client.close();
  }
}

function isLocal(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}

const marks = { good: "✓", doubtful: "!", broken: "✗" } as const;

function formatFinding({ state, what, mend }: Finding): string {
  const line = `${marks[state]} ${toCell(what)}`;
  return mend === "" ? line : `${line}\n    → ${toCell(mend)}`;
}
