// Set-up shared by the rules of stores: a fresh store and a teller for each test, taken down afterwards.
import { afterEach, beforeEach, expect } from "vitest";
import type { Commit, Store, Verdict } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import type { Adapter, Place } from "./store.js";
import { Teller } from "./story.js";

/** What the rules work with; the fields are those of the running test. */
export interface Stage {
  place: Place;
  store: Store & KeyValues;
  teller: Teller;
  /** Stores commits that must all be stored. */
  must(...commits: Commit[]): Promise<void>;
}

/** Call within `describe`: opens and disposes of a store around each of its tests. */
export function onStage(adapter: Adapter): Stage {
  const stage = {
    async must(...commits: Commit[]) {
      expect(await stage.store.commit(commits)).toEqual(commits.map((): Verdict => "ok"));
    },
  } as Stage;
  beforeEach(async () => {
    stage.place = await adapter.open();
    stage.store = stage.place.store;
    stage.teller = new Teller((shard) => stage.place.epochOf?.(shard));
  });
  afterEach(() => stage.place.dispose());
  return stage;
}
