import type { Key } from "../../gen/weir/admin/v1/team_pb.ts";
import type { Principal } from "../mesh/grant.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { LimitBinder } from "./bind-limits.ts";
import type { Labels } from "./concerns.ts";
import type { NameVerdict } from "./judge-name.ts";
import { KeyFile } from "./key-file.ts";
import { NameFile } from "./name-file.ts";
import type { PolicyTally } from "./shelf-view.ts";

/** Names kept for each key; past it they are all forgotten and made anew. */
const NAMES_PER_KEY_MAX = 256;

/** Who asks, and with which labels of its own. */
export interface Asker {
  readonly principal: Principal;
  readonly labels: Labels;
}

/**
 * Judges names by whatever snapshot is current. Verdicts are kept, and what they hold stays the
 * same objects, until something changes that concerns them; what a change costs a key is a look at
 * what has changed on its own shelves.
 */
export function createJudge(
  current: () => Snapshot,
  tally: PolicyTally,
): (asker: Asker, name: string) => NameVerdict {
  const files = new WeakMap<Key, KeyFile>();
  const binder = new LimitBinder();
  let judgedBy: Snapshot | undefined;
  let turn = 0;
  return ({ principal, labels }, name) => {
    const snapshot = current();
    if (snapshot !== judgedBy) {
      judgedBy = snapshot;
      turn += 1;
    }
    const index = snapshot.policyIndex;
    let file = files.get(principal.key);
    if (file === undefined || !file.serves(principal, index)) {
      file = new KeyFile(principal, index, tally);
      files.set(principal.key, file);
    }
    file.refresh(turn);
    let named = file.names.get(name);
    if (named === undefined) {
      if (file.names.size >= NAMES_PER_KEY_MAX) file.names.clear();
      named = new NameFile(file, name, binder);
      file.names.set(name, named);
    }
    return named.judge(snapshot, turn, labels);
  };
}
