import { z } from "zod";
import type { Command } from "./command.ts";
import { adminOptions, connectionShape, withAdmin } from "./connection.ts";
import { formatDocuments } from "./format-documents.ts";
import { readLabels } from "./labels.ts";
import { print, printJson } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import type { Item, ListOrder, ResourceKind } from "./resource-kind.ts";
import { findKind, listKindWords, readNames } from "./resource-kinds.ts";
import { formatTable } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...adminOptions,
  output: {
    value: "FORMAT",
    help: "`table` (the default), `json`, `yaml` (both for `weir apply`) or `name`",
    short: "o",
  },
  team: { value: "TEAM", help: "only keys or policies of this team" },
  label: { value: "K=V", help: "only with this label; may be given several times", multiple: true },
};

const schema = z.object({
  ...connectionShape,
  output: z
    .enum(["table", "json", "yaml", "name"], "write table, json, yaml or name")
    .default("table"),
  team: z.string().min(1).optional(),
  label: z.array(z.string()).default([]),
});

/** `weir get`: resources as they are. */
export const command: Command = {
  name: "get",
  summary: "List resources, or show some: teams, users, keys, providers, models, policies.",
  synopsis: "KIND [NAME…] | NAME…",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [first] = positionals;
    if (first === undefined) throw new UsageError(`what? One of ${listKindWords()}`);
    const whole = positionals.length === 1 ? findKind(first) : undefined;
    const named = whole === undefined ? readNames(positionals) : [];
    const order: ListOrder = {
      parent: given.team === undefined ? "" : readTeam(given.team),
      labels: readLabels("label", given.label),
    };
    return withAdmin("get", given, async ({ admin }) => {
      const found: Found[] = [];
      if (whole !== undefined) {
        for (const item of await whole.list(admin, order)) found.push({ kind: whole, item });
      }
      for (const { kind, name } of named) found.push({ kind, item: await kind.get(admin, name) });
      show(found, given.output, { whole, single: whole === undefined && named.length === 1 });
      return 0;
    });
  },
};

interface Found {
  readonly kind: ResourceKind;
  readonly item: Item;
}

function show(
  found: readonly Found[],
  output: z.output<typeof schema>["output"],
  { whole, single }: { readonly whole: ResourceKind | undefined; readonly single: boolean },
): void {
  const documents = found.map(({ kind, item }) => ({ kind: kind.title, ...item.json }));
  switch (output) {
    case "json":
      printJson(single ? documents[0] : documents);
      return;
    case "yaml":
      print(formatDocuments(documents));
      return;
    case "name":
      for (const { item } of found) print(item.name);
      return;
    default:
  }
  if (found.length === 0) print(`There are no ${whole?.plural ?? "such resources"}.`);
  const kinds = new Set(found.map(({ kind }) => kind));
  const tables = [...kinds].map((kind) =>
    formatTable(
      kind.columns,
      found.filter((each) => each.kind === kind).map(({ item }) => item.cells),
    ),
  );
  if (tables.length > 0) print(tables.join("\n\n"));
}

function readTeam(text: string): string {
  return text.startsWith("teams/") ? text : `teams/${text}`;
}
