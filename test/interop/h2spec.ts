import { join, resolve } from "node:path";
import { fetchBy, findTool } from "./bounded.ts";
import { useCache } from "./cache.ts";
import type { Suite } from "./suite.ts";

const PACKAGE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";

/** What a peer of HTTP/2 has to do, by RFC 9113 and RFC 7541, case by case. */
export const h2spec: Suite = {
  name: "h2spec",
  build: async () => {
    const version = await findTool("go", "version");
    const bin = await useCache("h2spec", [version, PACKAGE], (empty) =>
      fetchBy(["go", "install", PACKAGE], { env: { GOBIN: empty } }),
    );
    const facts = resolve("test/interop/h2spec/facts.ts");
    const env = { H2SPEC: join(bin, "h2spec") };
    return [
      { name: "h2spec", command: [process.execPath, facts], env },
      { name: "h2spec by TLS", command: [process.execPath, facts, "--tls"], env },
    ];
  },
};
