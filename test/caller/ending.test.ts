/**
 * What gives up calls: each is stopped once, unless it took its stop back.
 */
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { Endings } from "../../src/caller/ending.js";

describe("the ending of a signal", () => {
  it("is the same for all calls that the signal ends, behind one listener of it", () => {
    const { signal } = new AbortController();
    const endings = new Endings();
    expect(endings.of(signal)).toBe(endings.of(signal));
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    expect(endings.of(new AbortController().signal)).not.toBe(endings.of(signal));
  });

  it("stops those that are there, once, and not those that were taken back", () => {
    const owner = new AbortController();
    const ending = new Endings().of(owner.signal);
    const stopped: string[] = [];
    const [here, gone] = [() => void stopped.push("here"), () => void stopped.push("gone")];
    ending.add(here);
    ending.remove(ending.add(gone));
    expect(ending.isOver).toBe(false);
    owner.abort();
    owner.abort();
    expect(ending.isOver).toBe(true);
    expect(stopped).toEqual(["here"]);
  });
});
