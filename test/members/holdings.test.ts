/**
 * The bookkeeping of one node's shards: what counts as its own, and what it tells who works on them.
 */
import { describe, expect, it } from "vitest";
import { Holdings } from "../../cluster/holdings.js";

function holdings() {
  const told: string[] = [];
  const own = new Holdings(
    "a",
    { gained: (shards) => void told.push(`+${shards}`), lost: (shards) => void told.push(`-${[...shards]}`) },
    () => 0,
  );
  own.incarnation = 2;
  const see = (shard: number, epoch: number, owner: string, incarnation: number) => {
    own.record([{ shard, epoch, owner, incarnation }]);
    own.reconcile();
  };
  return { own, told, see };
}

describe("holdings", () => {
  it("take up rows of their own incarnation only: an earlier one's shards must be claimed anew", () => {
    const { own, told, see } = holdings();
    see(1, 5, "a", 1);
    see(2, 5, "b", 2);
    see(3, 5, "a", 2);
    own.gain([{ shard: 4, epoch: 9, owner: "a", incarnation: 1 }]);
    expect([...own.owned]).toEqual([[3, 5]]);
    expect(told).toEqual(["+3"]);
  });

  it("follow a later epoch, and never an older row", () => {
    const { own, told, see } = holdings();
    see(1, 5, "a", 2);
    see(1, 7, "a", 2);
    see(1, 6, "b", 1);
    expect([...own.owned]).toEqual([[1, 7]]);
    see(1, 8, "b", 1);
    expect([...own.owned]).toEqual([]);
    expect(told).toEqual(["+1", "-1"]);
  });

  it("do not take up again what is on its way to another node", () => {
    const { own, told, see } = holdings();
    see(1, 5, "a", 2);
    own.leaving.add(1);
    own.drop([1]);
    own.reconcile();
    expect(told).toEqual(["+1", "-1"]);
    own.leaving.delete(1);
    own.reconcile();
    expect(told).toEqual(["+1", "-1", "+1"]);
  });

  it("work on what they gave up under the next epoch only, though the store still has them as its owner", () => {
    const { own, told, see } = holdings();
    see(1, 5, "a", 2);
    own.leaving.add(1);
    own.giveUp([1]);
    expect(own.forsaken()).toEqual([]); // the statement is under way
    own.leaving.delete(1);
    see(1, 5, "a", 2);
    expect([...own.owned]).toEqual([]);
    expect(own.forsaken()).toEqual([{ shard: 1, epoch: 5, owner: "a", incarnation: 2 }]);
    see(1, 6, "a", 2);
    expect([...own.owned]).toEqual([[1, 6]]);
    expect(own.forsaken()).toEqual([]);
    expect(told).toEqual(["+1", "-1", "+1"]);
  });

  it("take no notice of a claim's answer that comes when the shard has been given up again", () => {
    const { own, told, see } = holdings();
    see(1, 5, "a", 2); // a look was faster
    own.giveUp([1]);
    own.gain([{ shard: 1, epoch: 5, owner: "a", incarnation: 2 }]);
    expect([...own.owned]).toEqual([]);
    expect(told).toEqual(["+1", "-1"]);
  });
});
