// The client is small, and loads no package that its user did not ask for.

import { describe, expect, it } from "vitest";
import { bundle } from "./bundle.js";
import { clientEntries } from "./entries.js";

/** Packages that an entry is there for; all others need none. */
const wanted: Readonly<Record<string, readonly string[]>> = {
  "tandem/grpc": ["@grpc/grpc-js"],
  "tandem/nats": ["nats"],
  "tandem/nest": ["@nestjs/common", "rxjs"],
  "tandem/opentelemetry": ["@opentelemetry/api"],
  "tandem/xa/mysql2": ["mysql2/promise"],
};
/** The coordinator comes with these. */
const whole = new Set(["tandem/embedded", "tandem/testing"]);

describe("the client", () => {
  it("has less than 30 kB in its core, minified, and no package in it", async () => {
    const { bytes, laterBytes, packages } = await bundle("src/client/index.ts");
    expect(packages).toEqual([]);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(30_000);
    expect(laterBytes).toBeGreaterThan(0);
  });

  it.each(clientEntries().filter(({ name }) => !whole.has(name)))(
    "loads at $name no package but the one it is for",
    async ({ name, source }) => {
      const { packages } = await bundle(source);
      expect(packages.filter((one) => !(wanted[name] ?? []).includes(one))).toEqual([]);
    },
  );

  it("has the entries that are known", () => {
    const names = clientEntries().map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["tandem/client", "tandem/grpc", "tandem/nats", "tandem/testing"]));
  });
});
