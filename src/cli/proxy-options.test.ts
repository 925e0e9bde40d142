import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { readProxyOptions } from "./proxy-options.ts";
import { UsageError } from "./usage-error.ts";

const token = "t".repeat(32);
const least = ["--control", "10.0.0.1:8079", "--link-token", token];

describe("readProxyOptions()", () => {
  it("needs to know whom to join and by what", () => {
    expect(readProxyOptions(least, {})).toEqual({
      control: [{ host: "10.0.0.1", port: 8079 }],
      listen: { host: "127.0.0.1", port: 8080 },
      dataDir: ".weir-proxy",
      linkToken: token,
      proxyId: hostname(),
      tlsCert: undefined,
      tlsKey: undefined,
      controlCa: undefined,
      corsOrigins: [],
      metricsOpen: false,
      maxConnections: undefined,
      sharePort: false,
      adoptBeyond: undefined,
    });
  });

  it("takes each option", () => {
    const given = readProxyOptions(
      [
        ...["--control", "a:1,[::1]:2", "--link-token", token, "--listen", ":9"],
        ...["--data-dir", "d", "--proxy-id", "p", "--tls-cert", "c", "--tls-key", "k"],
        ...["--control-ca", "f", "--cors-origin", "x", "--cors-origin", "y", "--metrics-open"],
        ...["--max-connections", "7", "--share-port", "--adopt-beyond", "0"],
      ],
      {},
    );
    expect(given).toEqual({
      control: [
        { host: "a", port: 1 },
        { host: "::1", port: 2 },
      ],
      listen: { host: "0.0.0.0", port: 9 },
      dataDir: "d",
      linkToken: token,
      proxyId: "p",
      tlsCert: "c",
      tlsKey: "k",
      controlCa: "f",
      corsOrigins: ["x", "y"],
      metricsOpen: true,
      maxConnections: 7,
      sharePort: true,
      adoptBeyond: 0,
    });
  });

  it("takes variables, and flags over them", () => {
    const env = { WEIR_CONTROL: "c:1", WEIR_LINK_TOKEN: token, WEIR_METRICS_OPEN: "true" };
    const given = readProxyOptions(["--control", "d:2"], env);
    expect(given).toMatchObject({ control: [{ host: "d", port: 2 }], metricsOpen: true });
    expect(readProxyOptions(least, { WEIR_METRICS_OPEN: "false" }).metricsOpen).toBe(false);
  });

  const wrong: Array<[string, readonly string[], RegExp]> = [
    ["nothing", [], /^--control is required$/],
    ["no token", ["--control", "a:1"], /^--link-token is required$/],
    ["a short token", ["--control", "a:1", "--link-token", "x"], /^--link-token: .*at least 32/],
    ["no address", [...least, "--listen", "here"], /^--listen: "here" is no address/],
    ["a port too high", [...least, "--listen", "a:70000"], /^--listen: /],
    ["half a list", ["--control", "a:1,", "--link-token", token], /^--control: "" is no address/],
    ["an empty directory", [...least, "--data-dir", ""], /^--data-dir: is empty$/],
    ["a long name", [...least, "--proxy-id", "p".repeat(129)], /^--proxy-id: .*at most 128/],
    ["no connections", [...least, "--max-connections", "0"], /^--max-connections: .*from 1 to/],
    ["half a connection", [...least, "--max-connections", "1.5"], /^--max-connections: /],
    ["a word for a number", [...least, "--adopt-beyond", "two"], /^--adopt-beyond: /],
    ["an unknown flag", [...least, "--colour"], /--colour/],
  ];
  for (const [what, args, text] of wrong) {
    it(`refuses ${what}`, () => {
      expect(() => readProxyOptions(args, {})).toThrow(UsageError);
      expect(() => readProxyOptions(args, {})).toThrow(text);
    });
  }

  it("refuses a word that is neither true nor false", () => {
    expect(() => readProxyOptions(least, { WEIR_METRICS_OPEN: "yes" })).toThrow(
      /^--metrics-open: write true or false$/,
    );
  });
});
