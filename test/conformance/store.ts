// The rules that every store obeys, as one suite: `storeRules(adapter)` in a test file of the adapter's project.
// Memory is the reference model; the rules that compare a store with it are in storeModel.ts.

import type { Store } from "../../src/ports/store.js";
import type { KeyValues } from "../../src/ports/topics.js";
import { commitRules } from "./commitRules.js";
import { gidRules } from "./gidRules.js";
import { keyValueRules } from "./keyValueRules.js";
import { modelRules } from "./modelRules.js";
import { readRules } from "./readRules.js";
import { retentionRules } from "./retentionRules.js";

/** An empty store of one test. */
export interface Place {
  readonly store: Store & KeyValues;
  /** Closes the store and opens what it left behind; the new one is the test's from then on. Where `keeps` is set. */
  reopen?(): Promise<Store & KeyValues>;
  /** The epoch under which the writer holds a shard; 1 for ever where it is absent. */
  epochOf?(shard: number): number;
  /** Takes a shard away from the writer and resolves to the new epoch. Where `fences` is set. */
  claim?(shard: number): Promise<number>;
  /** Closes the store and removes what it left behind. */
  dispose(): Promise<void>;
}

/** A kind of store. */
export interface Adapter {
  readonly name: string;
  /** Whether what is stored outlives the process. */
  readonly keeps: boolean;
  /** Whether writers can lose a shard to one another. */
  readonly fences: boolean;
  open(): Promise<Place>;
}

/** Declares the whole suite for one kind of store. */
export function storeRules(adapter: Adapter): void {
  commitRules(adapter);
  readRules(adapter);
  retentionRules(adapter);
  gidRules(adapter);
  keyValueRules(adapter);
  modelRules(adapter);
}
