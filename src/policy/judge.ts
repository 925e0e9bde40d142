import type { Key } from "../../gen/weir/admin/v1/team_pb.ts";
import type { Principal } from "../mesh/grant.ts";
import type { KeyLimit } from "../mesh/key-limit.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { LimitBinder } from "./bind-limits.ts";
import type { Labels } from "./concerns.ts";
import type { NameVerdict } from "./judge-name.ts";
import { KeyFile } from "./key-file.ts";
import { listKeyLimits } from "./key-limits.ts";
import { NameFile } from "./name-file.ts";
import type { PolicyTally } from "./shelf-view.ts";

/** Names kept for each key; past it they are all forgotten and made anew. */
const NAMES_PER_KEY_MAX = 256;

/** Who asks, and with which labels of its own. */
export interface Asker {
  readonly principal: Principal;
  readonly labels: Labels;
}

/** What is known of each key, by whatever snapshot is current. */
export interface Judge {
  /** The verdict of a name. */
  judge(asker: Asker, name: string): NameVerdict;
  /** The limits that concern a key; `knows` tells which models its holder may know of. */
  limitsOf(principal: Principal, knows: (model: string) => boolean): KeyLimit[];
}

/**
 * Judges names by whatever snapshot is current. Verdicts are kept, and what they hold stays the
 * same objects, until something changes that concerns them; what a change costs a key is a look at
 * what has changed on its own shelves.
 */
export function createJudge(current: () => Snapshot, tally: PolicyTally): Judge {
  const files = new WeakMap<Key, KeyFile>();
  const binder = new LimitBinder();
  let judgedBy: Snapshot | undefined;
  let turn = 0;
  const open = (snapshot: Snapshot, principal: Principal): KeyFile => {
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
    return file;
  };
  const judge: Judge["judge"] = ({ principal, labels }, name) => {
    const snapshot = current();
    const file = open(snapshot, principal);
    let named = file.names.get(name);
    if (named === undefined) {
      if (file.names.size >= NAMES_PER_KEY_MAX) file.names.clear();
      named = new NameFile(file, name, binder);
      file.names.set(name, named);
    }
    return named.judge(snapshot, turn, labels);
  };
  const limitsOf: Judge["limitsOf"] = (principal, knows) => {
    const snapshot = current();
    const tools = { index: snapshot.policyIndex, binder, knows };
    return listKeyLimits(open(snapshot, principal), tools);
  };
  return { judge, limitsOf };
}
