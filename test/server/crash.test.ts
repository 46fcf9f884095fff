// A short run of `npm run crash`: a real server on LMDB, killed at every kind of moment under load of all patterns.
import { describe, expect, it } from "vitest";
import { campaign, kindsOfKill } from "../crash/campaign.js";

describe("a server that is killed again and again", () => {
  it("1, 2, 4, 5, 6, 7, 8: loses nothing that it acknowledged, ends all of it, and causes no effect twice behind a barrier", async () => {
    const size = { killsOfEach: 2, initiators: 10, seed: 20_261_122, withinMs: 100_000 };
    const { kills, verdict, errors, acknowledged, moods } = await campaign(size, () => {});
    expect(errors).toEqual([]);
    const { lost, unfinished, wrong, doubled, ends } = verdict;
    expect({ lost, unfinished, wrong, doubled }).toEqual({ lost: [], unfinished: [], wrong: [], doubled: [] });
    // the run must have met what it is about
    for (const kind of kindsOfKill) expect(`${kind}: ${kills[kind] >= 2}`).toBe(`${kind}: true`);
    expect(acknowledged).toBeGreaterThan(100);
    expect(Object.keys(moods).sort()).toEqual(["break", "do", "hold", "lose", "ongoing", "refuse"]);
    for (const kind of ["saga", "tcc", "xa", "msg", "workflow"])
      expect(`${kind}: ${(ends[`${kind} succeed`] ?? 0) > 0}`).toBe(`${kind}: true`);
  }, 180_000);
});
