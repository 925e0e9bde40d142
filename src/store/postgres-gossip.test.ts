import { describe, expect, it } from "vitest";
import type { ProxyState } from "../mesh/hub.ts";
import { NoticeReader, writeNotices } from "./postgres-gossip.ts";

function proxy(n: number, text = ""): ProxyState {
  return {
    proxyId: `proxy-${n}`,
    version: "0.1.0",
    listen: "10.0.0.1:8080",
    revision: n,
    connectedWallMs: n,
    refusedRevision: 0,
    refusal: text,
    faults: [text, text, text, text],
  };
}

const many = Array.from({ length: 200 }, (_, n) => proxy(n, "ein Fehler, zwei Fehler, ü"));

describe("what control processes tell each other on Postgres", () => {
  it("is heard as it was said, in as many notices as that takes", () => {
    for (const proxies of [[], [proxy(1)], Array.from({ length: 200 }, (_, n) => proxy(n))]) {
      const notices = writeNotices("ctl_1", 1, proxies);
      const reader = new NoticeReader();
      const heard = notices.map((notice) => reader.read(notice));
      expect(heard.slice(0, -1).every((each) => each === undefined)).toBe(true);
      expect(heard.at(-1)?.from).toBe("ctl_1");
      expect(heard.at(-1)?.proxies.map(({ proxyId }) => proxyId)).toEqual(
        proxies.map(({ proxyId }) => proxyId),
      );
    }
  });

  it("is never longer than Postgres takes", () => {
    const long = [proxy(1, "漢".repeat(5_000)), proxy(2, "\n".repeat(5_000))];
    for (const notice of [...writeNotices("ctl_1", 1, many), ...writeNotices("ctl_1", 2, long)]) {
      expect(Buffer.byteLength(notice)).toBeLessThan(8_000);
    }
  });

  it("is not mixed up when two speak at once, nor when a part is lost", () => {
    const reader = new NoticeReader();
    const mine = writeNotices("ctl_1", 1, many);
    const yours = writeNotices("ctl_2", 1, many.slice(0, 100));
    const heard = [mine, yours]
      .flatMap((notices) => notices.map((notice, at) => ({ notice, at })))
      .sort((a, b) => a.at - b.at)
      .flatMap(({ notice }) => reader.read(notice) ?? []);
    expect(heard.map(({ from, proxies }) => [from, proxies.length]).sort()).toEqual([
      ["ctl_1", 200],
      ["ctl_2", 100],
    ]);
    for (const notice of writeNotices("ctl_1", 2, many).slice(1)) {
      expect(reader.read(notice)).toBeUndefined();
    }
    const again = writeNotices("ctl_1", 3, many).map((notice) => reader.read(notice));
    expect(again.at(-1)?.proxies).toHaveLength(200);
  });

  for (const text of ["", "null", "{", '{"from":1}', '{"from":"a","number":1}', "[]"]) {
    it(`passes over ${JSON.stringify(text)}`, () => {
      expect(new NoticeReader().read(text)).toBeUndefined();
    });
  }
});
