// Two projects: `unit` needs nothing but Node; `integration` starts real servers and processes (test/servers.ts).
import { defineConfig } from "vitest/config";

const integration = [
  "test/servers/**",
  "test/server/**",
  "test/cluster/**",
  "test/compat/**",
  "test/mysql/**",
  "test/client/db/**",
  "test/client/dtm/**",
  "test/client/nats/**",
  "test/client/examples/**",
  "test/browser/**",
];

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/**/*.test.ts"], exclude: integration, testTimeout: 120_000 } },
      {
        test: {
          name: "integration",
          include: integration.map((p) => `${p.slice(0, -2)}**/*.test.ts`),
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
