/**
 * Names of participants: one that nobody can resolve stands in nobody's way.
 */
import type { LookupAddress } from "node:dns";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Resolver } from "../../src/caller/resolve.js";

const first: readonly LookupAddress[] = [{ address: "10.0.0.1", family: 4 }];
const second: readonly LookupAddress[] = [
  { address: "10.0.0.2", family: 4 },
  { address: "::2", family: 6 },
];

describe("a resolver", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("asks once for a name, however many want it, and again after a while, without making anybody wait", async () => {
    const answers = [first, second];
    const ask = vi.fn(async () => answers.shift() ?? second);
    const resolver = new Resolver(ask);
    const all = await Promise.all(Array.from({ length: 10 }, () => resolver.resolve("a")));
    expect(all).toEqual(Array(10).fill(first));
    expect(await resolver.resolve("a")).toBe(first);
    expect(ask).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(31_000);
    expect(await resolver.resolve("a")).toBe(first);
    await vi.waitFor(async () => expect(await resolver.resolve("a")).toBe(second));
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it("runs two look-ups at a time, and gives known answers while they hang", async () => {
    let hanging = false;
    const asked: string[] = [];
    const resolver = new Resolver((host) => {
      asked.push(host);
      return hanging ? new Promise(() => {}) : Promise.resolve(first);
    });
    await resolver.resolve("healthy");
    hanging = true;
    const waiting = ["b", "c", "d", "e"].map((host) => resolver.resolve(host));
    vi.advanceTimersByTime(60_000);
    expect(await resolver.resolve("healthy")).toBe(first);
    await new Promise((resolve) => setImmediate(resolve));
    expect(asked).toEqual(["healthy", "b", "c"]);
    expect(waiting).toHaveLength(4);
  });

  it("lets the next one go when a look-up has failed, and asks for a bad name once a second at most", async () => {
    const ask = vi.fn(async (host: string) => {
      if (host === "bad") throw new Error("ENOTFOUND");
      return first;
    });
    const resolver = new Resolver(ask);
    for (let i = 0; i < 5; i++) await expect(resolver.resolve("bad")).rejects.toThrow("ENOTFOUND");
    expect(ask).toHaveBeenCalledTimes(1);
    expect(await Promise.all(["a", "b", "c"].map((host) => resolver.resolve(host)))).toEqual([first, first, first]);
    vi.advanceTimersByTime(1_001);
    await expect(resolver.resolve("bad")).rejects.toThrow("ENOTFOUND");
    expect(ask).toHaveBeenCalledTimes(5);
  });

  it("uses an old answer while the name cannot be resolved, but not for ever", async () => {
    let isDown = false;
    const resolver = new Resolver(async () => {
      if (isDown) throw new Error("SERVFAIL");
      return first;
    });
    await resolver.resolve("a");
    isDown = true;
    vi.advanceTimersByTime(599_000);
    expect(await resolver.resolve("a")).toBe(first);
    vi.advanceTimersByTime(2_000);
    await expect(resolver.resolve("a")).rejects.toThrow("SERVFAIL");
  });

  it("answers as dns.lookup does: one address, all, or those of one family", async () => {
    const resolver = new Resolver(async () => second);
    const lookup = (options: { all?: boolean; family?: number }) =>
      new Promise((resolve) => resolver.lookup("a", options, (error, ...found) => resolve(error ?? found)));
    expect(await lookup({})).toEqual(["10.0.0.2", 4]);
    expect(await lookup({ all: true })).toEqual([second]);
    expect(await lookup({ family: 6 })).toEqual(["::2", 6]);
    expect(await lookup({ all: true, family: 4 })).toEqual([[second[0]]]);
  });
});
