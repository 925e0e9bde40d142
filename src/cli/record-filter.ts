import { z } from "zod";
import { readLabels } from "./labels.ts";
import type { OptionSpecs } from "./read-options.ts";

/** Options that choose requests of the ledger. */
export const filterOptions: OptionSpecs = {
  team: { value: "TEAM", help: "only this team and its subtree; several times", multiple: true },
  "team-key": { value: "KEY", help: "only this key, teams/{team}/keys/{key}", multiple: true },
  user: { value: "USER", help: "only this user; several times", multiple: true },
  model: { value: "MODEL", help: "only this model; several times", multiple: true },
  provider: { value: "PROVIDER", help: "only this provider; several times", multiple: true },
  label: { value: "K=V", help: "only with this label; several times", multiple: true },
  errors: { value: undefined, help: "only those that failed" },
};

const names = z.array(z.string().min(1)).default([]);

export const filterShape = {
  team: names,
  "team-key": names,
  user: names,
  model: names,
  provider: names,
  label: z.array(z.string()).default([]),
  errors: z.boolean().default(false),
};

const filterSchema = z.object(filterShape);

/** The filter that was asked for, without times. */
export function createFilter(given: z.output<typeof filterSchema>) {
  return {
    teams: given.team.map((each) => prefix("teams/", each)),
    keys: given["team-key"],
    users: given.user.map((each) => prefix("users/", each)),
    models: given.model,
    providers: given.provider.map((each) => prefix("providers/", each)),
    labels: readLabels("label", given.label),
    onlyErrors: given.errors,
  };
}

function prefix(prefixed: string, name: string): string {
  return name.startsWith(prefixed) ? name : prefixed + name;
}
