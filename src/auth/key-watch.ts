import { hash } from "node:crypto";
import type { Call } from "../mesh/call.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import { asMeshError, MeshError } from "../mesh/errors.ts";
import type { Principal } from "../mesh/grant.ts";
import type { KeyWatch } from "../mesh/rooms.ts";
import { type Place, Roster } from "../mesh/roster.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { wallMsOf } from "./expiry.ts";

/** What the watch over keys needs of its surroundings. */
export interface KeyWatchOptions {
  readonly clock: Clock;
  current(): Snapshot;
  /** Credential → principal, by the current snapshot. Throws CREDENTIAL_*. */
  identify(credential: string | undefined): Principal;
}

/** Watches over the keys of all calls that are open. */
export interface KeyWatcher {
  watch(principal: Principal, call: Call): KeyWatch;
  /** Policy has changed: ends the calls whose keys are not good any more. */
  sweep(): void;
  /** Calls that are watched. */
  readonly size: number;
}

/**
 * Ends a call with CREDENTIAL_* as soon as its key is deleted, disabled, rotated away or expired,
 * or its team or user is disabled, however long its answer would have gone on. A call costs a place
 * in a list, and a timer where its key expires; a change of policy costs each open call a few
 * comparisons.
 */
export function createKeyWatcher(options: KeyWatchOptions): KeyWatcher {
  const calls = new Roster<WatchedCall>();
  return {
    watch: (principal, call) => new WatchedCall(principal, call, calls, options),
    sweep: () => {
      const snapshot = options.current();
      for (const call of calls) call.look(snapshot);
    },
    get size() {
      return calls.size;
    },
  };
}

class WatchedCall implements KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #call: Call;
  readonly #calls: Roster<WatchedCall>;
  readonly #place: Place<WatchedCall>;
  #principal: Principal;
  #expiry: Timer | undefined;
  #ended = false;

  constructor(
    principal: Principal,
    call: Call,
    calls: Roster<WatchedCall>,
    options: KeyWatchOptions,
  ) {
    this.#principal = principal;
    this.#call = call;
    this.#calls = calls;
    this.#options = options;
    this.#place = calls.add(this);
    this.#awaitExpiry();
  }

  end(): void {
    this.#ended = true;
    this.#expiry?.cancel();
    this.#expiry = undefined;
    this.#calls.leave(this.#place);
  }

  /** Whoever stands there as he did when he was identified is good until he expires. */
  look(snapshot: Snapshot): void {
    if (!isUnchanged(this.#principal, snapshot)) this.#identify();
  }

  #identify(): void {
    // A call that ended in this sweep may have ended others.
    if (this.#ended) return;
    const { credential, cancellation } = this.#call;
    try {
      this.#principal = this.#options.identify(credential);
    } catch (thrown) {
      this.end();
      cancellation.cancel(explain(asMeshError(thrown)));
      return;
    }
    this.#awaitExpiry();
  }

  #awaitExpiry(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const expiryMs = findExpiry(this.#principal, this.#call.credential);
    if (expiryMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#options;
    // The machine's clock may jump meanwhile, so that the time is looked at again.
    this.#expiry = clock.after(Math.max(1, expiryMs - clock.wallMs()), () => this.#identify());
  }
}

function isUnchanged({ key, teams, user }: Principal, snapshot: Snapshot): boolean {
  if (snapshot.keys.get(key.name) !== key) return false;
  if (user !== "" && snapshot.users.get(user)?.disabled !== false) return false;
  for (const team of teams) {
    if (snapshot.teams.get(team.name) !== team) return false;
  }
  return true;
}

/** When a credential ends, on Clock.wallMs(): with its key, or before it with its secret. */
function findExpiry({ key }: Principal, credential = ""): number {
  const keyMs = wallMsOf(key.expireTime);
  // Only secrets that were replaced end before their key.
  if (key.secrets.every(({ expireTime }) => expireTime === undefined)) return keyMs;
  const digest = hash("sha256", credential, "buffer");
  const secret = key.secrets.find(({ sha256 }) => digest.equals(sha256));
  return Math.min(keyMs, wallMsOf(secret?.expireTime));
}

/** What was right when the call began is told otherwise than what was never right. */
function explain(error: MeshError): MeshError {
  switch (error.reason) {
    case "CREDENTIAL_UNKNOWN":
      return new MeshError(
        "CREDENTIAL_UNKNOWN",
        "This API key was revoked while the request ran. Ask for a new one.",
      );
    case "CREDENTIAL_EXPIRED":
      return new MeshError(
        "CREDENTIAL_EXPIRED",
        "This API key expired while the request ran. Ask for a new one.",
      );
    default:
      return error;
  }
}
