import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAdminClient, type WeirAdminClient } from "../../src/client/admin.ts";
import { findFreePort } from "../support/free-port.ts";
import { OwnProcess, until } from "../support/own-process.ts";
import {
  noPostgres,
  type PostgresServer,
  startPostgres,
  withClient,
} from "../support/postgres-server.ts";
import { type Answer, chat } from "../support/rest-calls.ts";
import { ADMIN_KEY, endAll, KEY, launchWeir, startWeir } from "../support/weir-process.ts";

const READY_MS = 90_000;
const TOKEN = "t".repeat(40);

describe.skipIf(noPostgres)(
  `two control processes on one Postgres${noPostgres ? ` (${noPostgres})` : ""}`,
  () => {
    const directory = mkdtempSync(join(tmpdir(), "weir-shared-"));
    const processes: OwnProcess[] = [];
    const answers: Answer[] = [];
    let server: PostgresServer;
    let database = "";
    let controls: Control[] = [];
    let proxy: OwnProcess;
    let url = "";

    beforeAll(async () => {
      server = await startPostgres();
      database = server.url("weir");
      await withClient(server.url("postgres"), (client) =>
        client.query("CREATE DATABASE weir ENCODING 'UTF8' TEMPLATE template0"),
      );
      const [one, other, port] = [await findFreePort(), await findFreePort(), await findFreePort()];
      // At once, so that both find the database empty.
      controls = [startControl("one", one), startControl("other", other)];
      url = `http://127.0.0.1:${port}`;
      proxy = start(
        [
          ...["proxy", "--control", controls.map(({ address }) => address).join(",")],
          ...["--listen", `127.0.0.1:${port}`, "--data-dir", join(directory, "proxy")],
        ],
        {},
      );
      await until("the proxy serves", READY_MS, async () => (await ask()).status === 200);
      for (const { client } of controls) {
        await until("both controls answer", READY_MS, () =>
          client.admin.getSelf({}).then(
            () => true,
            () => false,
          ),
        );
      }
    });

    afterAll(async () => {
      for (const { client } of controls) client.close();
      await Promise.all(processes.map((each) => each.destroy()));
      await endAll();
      await server?.end();
      rmSync(directory, { recursive: true, force: true });
    });

    const start = (args: string[], env: Record<string, string>): OwnProcess => {
      const started = new OwnProcess(args, { WEIR_LINK_TOKEN: TOKEN, ...env });
      processes.push(started);
      return started;
    };

    const startControl = (name: string, port: number): Control => {
      const address = `127.0.0.1:${port}`;
      const args = ["control", "--listen", address, "--data-dir", join(directory, name)];
      const process = start(args, {
        WEIR_ADMIN_KEY: ADMIN_KEY,
        WEIR_BOOTSTRAP_KEY: KEY,
        WEIR_DATABASE_URL: database,
        WEIR_SECRET_KEY: "ab".repeat(32),
      });
      const client = createAdminClient({ address: `http://${address}`, key: ADMIN_KEY });
      return { name, address, process, client };
    };

    const ask = async (key = KEY): Promise<Answer> => {
      const answer = await chat({ url }, {}, { key }).catch(() => undefined);
      if (answer?.status === 200) answers.push(answer);
      return answer ?? { status: 0, headers: {}, text: "", json: undefined, requestId: "" };
    };

    /** The control that the proxy is joined to, and the one that it is not. */
    const sortControls = async (): Promise<readonly [Control, Control]> => {
      const [a, b] = controls;
      if (a === undefined || b === undefined) throw new Error("there are not two controls");
      const joins = ({ process: { output } }: Control) =>
        output.lastIndexOf("a proxy is connected") > output.lastIndexOf("a proxy is gone");
      await until("the proxy is joined to one of them", READY_MS, () => joins(a) !== joins(b));
      return joins(a) ? [a, b] : [b, a];
    };

    /** Makes a key by one control, and waits until the proxy takes it. */
    const reachProxy = async (client: WeirAdminClient, id: string) => {
      const made = await client.admin.createKey({ key: { name: `teams/first/keys/${id}` } });
      await until("the key works", READY_MS, async () => (await ask(made.secret)).status === 200);
    };

    it("fill the empty database once, and show no password", async () => {
      const [a, b] = controls;
      const list = (control: Control | undefined) => control?.client.admin.listRevisions({});
      const changes = (await list(a))?.changes ?? [];
      expect(changes.length).toBeGreaterThan(5);
      expect(new Set(changes.map(({ revision }) => revision))).toEqual(new Set([1n]));
      expect((await list(b))?.changes).toEqual(changes);
      const password = new URL(database).password;
      for (const { process } of controls) {
        expect(process.output).not.toContain(password);
        expect(process.output).not.toContain(decodeURIComponent(password));
      }
    });

    it("bring what is written by either to the proxy", async () => {
      const [joined, other] = await sortControls();
      await reachProxy(other.client, "by-other");
      await reachProxy(joined.client, "by-joined");
    });

    it("answer for each other's proxies: which there are, and what they have confirmed", async () => {
      const [joined, other] = await sortControls();
      const list = async ({ client }: Control) => {
        const { proxies } = await client.admin.listProxies({});
        return proxies.map(({ proxyId }) => proxyId);
      };
      await until("the other has heard of the proxy", READY_MS, async () => {
        return (await list(other)).length === 1;
      });
      expect(await list(other)).toEqual(await list(joined));
      for (const { name, client } of [joined, other]) {
        let tries = 0;
        // A write waits two seconds for confirmations, which a busy machine may exceed.
        await until("a write by either is confirmed", READY_MS, async () => {
          const key = { name: `teams/first/keys/seen-by-${name}-${tries++}` };
          const { result, secret } = await client.admin.createKey({ key });
          expect(result?.proxiesConnected).toBe(1);
          if (result?.proxiesConfirmed !== 1) return false;
          // Confirmed means that it works by now, without any wait.
          expect((await ask(secret)).status).toBe(200);
          return true;
        });
      }
    });

    it("take a stale write of neither", async () => {
      const name = "teams/first";
      const clients = controls.map(({ client }) => client.admin);
      const { team } = (await clients[0]?.getTeam({ name })) ?? {};
      const writes = clients.map((admin, n) =>
        admin.updateTeam({
          team: { name, displayName: `by ${n}`, meta: { etag: team?.meta?.etag ?? "" } },
          updateMask: { paths: ["display_name"] },
        }),
      );
      const outcomes = await Promise.allSettled(writes);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    });

    it("stand in for each other: one is killed, and the other goes on", async () => {
      const [joined, other] = await sortControls();
      joined.process.signal("SIGKILL");
      await joined.process.end(READY_MS);
      for (let n = 0; n < 20; n += 1) expect((await ask()).status).toBe(200);
      await reachProxy(other.client, "by-the-survivor");
      const throughProxy = createAdminClient({ address: url, key: ADMIN_KEY });
      await until("the proxy leads to the survivor", READY_MS, () =>
        throughProxy.admin.getSelf({}).then(
          () => true,
          () => false,
        ),
      );
      await reachProxy(throughProxy, "through-the-proxy");
      throughProxy.close();
    });

    it("lose no record, neither to that nor to a database that was away", async () => {
      await server.kill();
      for (let n = 0; n < 20; n += 1) expect((await ask()).status).toBe(200);
      await server.start();
      const survivor = controls.find(({ process }) => process.running);
      if (survivor === undefined) throw new Error("no control is left");
      for (const { requestId } of answers) {
        await until(`the record of ${requestId}`, READY_MS, () =>
          survivor.client.usage.getRequest({ requestId }).then(
            () => true,
            () => false,
          ),
        );
      }
      const { rows } = await survivor.client.usage.queryUsage({});
      expect(rows[0]?.totals?.requests).toBe(BigInt(answers.length));
      await reachProxy(survivor.client, "after-all");
      expect(proxy.running).toBe(true);
    });

    it("are not needed on one machine: `weir serve` takes the address, for its control alone", async () => {
      await withClient(server.url("postgres"), (client) =>
        client.query("CREATE DATABASE alone ENCODING 'UTF8' TEMPLATE template0"),
      );
      const env = { WEIR_DATABASE_URL: server.url("alone") };
      const weir = await startWeir({ env });
      const { requestId, status } = await chat(weir);
      expect(status).toBe(200);
      await until("the record is kept", READY_MS, () =>
        weir.usage.getRequest({ requestId }).then(
          () => true,
          () => false,
        ),
      );
      expect(existsSync(join(weir.dataDir, "weir.db"))).toBe(false);
      expect(weir.output).toContain("WEIR_SECRET_KEY");
      const environment = (pid: number | undefined) => readFileSync(`/proc/${pid}/environ`, "utf8");
      expect(environment(weir.control())).toContain("WEIR_DATABASE_URL=postgres:");
      expect(environment(weir.proxy(0))).not.toContain("WEIR_DATABASE_URL");
      expect(await weir.stop()).toBe(0);
    });

    it("say what to do when the database is not there at the start", async () => {
      const env = { WEIR_DATABASE_URL: "postgres://weir:top-secret@127.0.0.1:1/weir" };
      const weir = await launchWeir({ env });
      expect((await weir.end()).code).toBe(2);
      expect(weir.output).toMatch(/weir control: The store .* cannot be reached \(ECONNREFUSED\)/);
      expect(weir.output).not.toContain("top-secret");
      expect(weir.output).not.toMatch(/^\s+at /m);
    });
  },
);

interface Control {
  readonly name: string;
  readonly address: string;
  readonly process: OwnProcess;
  readonly client: WeirAdminClient;
}
