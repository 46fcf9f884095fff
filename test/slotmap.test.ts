/**
 * The map for what comes and goes: behaves as a Map does, and short collections free what has left it.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Numbered, SlotMap } from "../src/slotmap.js";

const key = fc.integer({ min: 0, max: 7 }).map((n) => `k${n}`);
const step = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, value: fc.integer() }),
  fc.record({ do: fc.constant("take" as const), key }),
  fc.record({ do: fc.constant("clear" as const) }),
);

it("gives each value a number of its own, never one again", () => {
  const all = new Numbered<string>();
  expect([all.add("a"), all.add("b")]).toEqual([0, 1]);
  expect(all.take(0)).toBe("a");
  expect(all.add("c")).toBe(2);
  expect([...all.entries()]).toEqual([
    [1, "b"],
    [2, "c"],
  ]);
});

describe("a slot map", () => {
  it("does what a Map does", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const [map, model] = [new SlotMap<string, number>(), new Map<string, number>()];
        for (const one of steps) {
          if (one.do === "clear") [map, model].forEach((all) => void all.clear());
          else if (one.do === "set") [map, model].forEach((all) => void all.set(one.key, one.value));
          else {
            expect(map.take(one.key)).toBe(model.get(one.key));
            model.delete(one.key);
          }
          expect([...map.entries()]).toEqual([...model]);
          expect([...map.values()]).toEqual([...model.values()]);
          expect(map.size).toBe(model.size);
          for (let n = 0; n < 8; n++) {
            expect(map.has(`k${n}`)).toBe(model.has(`k${n}`));
            expect(map.get(`k${n}`)).toBe(model.get(`k${n}`));
          }
        }
      }),
    );
  });

  it("leaves out what is removed while it is gone through, and comes to what is added", () => {
    const map = new SlotMap<string, number>();
    for (const name of ["a", "b", "c"]) map.set(name, 1);
    const seen: string[] = [];
    for (const [name] of map.entries()) {
      seen.push(name);
      if (name === "a") map.take("b");
      if (name === "c") map.set("d", 1);
    }
    expect(seen).toEqual(["a", "c", "d"]);
  });

  it("forgets what was taken out", async () => {
    const map = new SlotMap<string, object>();
    map.set("a", {});
    const left = new WeakRef(map.get("a")!);
    map.take("a");
    await new Promise((resolve) => setImmediate(resolve)); // what was seen in a turn lives as long as that
    collector()();
    expect(left.deref()).toBeUndefined();
    expect(map.size).toBe(0);
  });

  it("lets short collections free what has left it, which a Map keeps", () => {
    const slots = new SlotMap<number, object>(); // first: where much has survived, the platform allocates as old
    const left = keptBy(
      (id, value) => slots.set(id, value),
      (id) => slots.take(id),
    );
    const plain = new Map<number, object>();
    const kept = keptBy(
      (id, value) => plain.set(id, value),
      (id) => plain.delete(id),
    );
    expect(kept).toBeGreaterThan(8_000_000); // else the platform has mended it, and this class has no purpose
    expect(left).toBeLessThan(kept / 2);
  });
});

/** Bytes that short collections did not free of 50,000 objects of 300 bytes that came and went, 64 at a time. */
function keptBy(add: (id: number, value: object) => void, remove: (id: number) => void): number {
  const collect = collector();
  collect();
  let id = 0;
  const comeAndGo = (count: number) => {
    for (const end = id + count; id < end; id++) {
      add(id, { bytes: new Array(32).fill(id) });
      if (id >= 64) remove(id - 64);
    }
  };
  comeAndGo(1000);
  for (let n = 0; n < 4; n++) collect({ type: "minor" }); // its table gets old
  const before = process.memoryUsage().heapUsed;
  for (let round = 0; round < 10; round++) {
    comeAndGo(5000);
    collect({ type: "minor" });
    collect({ type: "minor" });
  }
  return process.memoryUsage().heapUsed - before;
}

/** Runs a garbage collection: a full one, or a short one of what is young. */
function collector(): (options?: { readonly type: "minor" }) => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}
