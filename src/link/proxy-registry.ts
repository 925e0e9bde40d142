import type { Clock } from "../mesh/clock.ts";
import type { Confirmations, ProxyRegistry } from "../mesh/hub.ts";
import type { ProxySession } from "./proxy-session.ts";

/** The registry of what is joined to this process. */
export interface LinkRegistry extends ProxyRegistry {
  /** Calls `listener` when a proxy comes, goes, confirms or refuses. Returns how to stop. */
  onChange(listener: () => void): () => void;
}

/** The sessions of all proxies that are connected, one for each proxy. */
export interface Sessions {
  readonly registry: LinkRegistry;
  all(): Iterable<ProxySession>;
  /**
   * Admits a session in place of an older one of the same proxy, which is dismissed. False when a
   * later start of that proxy is connected: then two processes use one name.
   */
  admit(session: ProxySession): boolean;
  remove(session: ProxySession): void;
  /** A proxy has confirmed or refused something, or is gone. */
  settled(): void;
}

export function createSessions(clock: Clock): Sessions {
  const byProxy = new Map<string, ProxySession>();
  // Each waits for one administrative write, and those have a time limit.
  const waiting = new Set<() => void>();
  const listeners = new Set<() => void>();
  const settled = () => {
    for (const check of [...waiting]) check();
    for (const listener of listeners) listener();
  };
  return {
    registry: {
      list: () => [...byProxy.values()].map((session) => session.state()),
      waitForRevision: (revision, waitMs) => {
        const sessions = [...byProxy.values()];
        const { promise, resolve } = Promise.withResolvers<Confirmations>();
        const finish = () => {
          waiting.delete(check);
          timer.cancel();
          resolve(count(sessions, revision));
        };
        const check = () => {
          if (sessions.every((session) => isDone(session, revision))) finish();
        };
        const timer = clock.after(waitMs, finish);
        waiting.add(check);
        check();
        return promise;
      },
      onChange: (listener) => {
        listeners.add(listener);
        return () => {
          listeners.delete(listener);
        };
      },
    },
    all: () => byProxy.values(),
    admit: (session) => {
      const { proxyId, epoch } = session.hello;
      const other = byProxy.get(proxyId);
      if (other !== undefined && other.hello.epoch > epoch) return false;
      byProxy.set(proxyId, session);
      other?.dismiss("a later connection of the same proxy has come");
      other?.end();
      settled();
      return true;
    },
    remove: (session) => {
      if (byProxy.get(session.hello.proxyId) !== session) return;
      byProxy.delete(session.hello.proxyId);
      settled();
    },
    settled,
  };
}

/** A proxy that is gone cannot be waited for: it is counted as connected and not as confirmed. */
function isDone(session: ProxySession, revision: number): boolean {
  const state = session.state();
  return session.ended || state.revision >= revision || state.refusedRevision >= revision;
}

function count(sessions: readonly ProxySession[], revision: number): Confirmations {
  const states = sessions.map((session) => session.state());
  return {
    confirmed: states.filter((state) => state.revision >= revision).length,
    connected: states.length,
    refusals: states
      .filter((state) => state.revision < revision && state.refusedRevision >= revision)
      .map((state) => state.refusal),
  };
}
