import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["test/interop/**", "node_modules/**"],
    pool: "forks",
    maxWorkers: 2,
    // Bounds of what hangs, not of what is slow: a machine may have much else to do.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 30_000, interval: 10 } },
  },
});
