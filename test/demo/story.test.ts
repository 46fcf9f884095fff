// The order of the demo's lines: whatever comes to light when, no effect is told before its cause, and nothing is lost.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Seen, Story } from "../../src/cli/demo/story.js";
import { type Row, rowsOf } from "../../src/cli/transactions/history.js";

const seen = (text: string, part: Partial<Seen> = {}): Seen => ({
  side: "seen",
  atMs: 0,
  needsIntent: undefined,
  answers: undefined,
  last: false,
  who: "client",
  mark: "",
  text,
  tone: "plain",
  ...part,
});

const row = (version: number, settles: string[], intends: string[]): Row => ({
  side: "row",
  atMs: 0,
  version,
  intends,
  settles,
  text: `#${version}`,
  tone: "plain",
});

/** A saga of two steps as both sides see it; all in the same millisecond, so that only causes can order it. */
const seenSide = [
  seen("submit"),
  seen("call 01", { needsIntent: "01 action" }),
  seen("answer 01", { answers: "01 action" }),
  seen("call 02", { needsIntent: "02 action" }),
  seen("answer 02", { answers: "02 action" }),
  seen("result", { last: true }),
];
const journal = [row(1, [], ["01 action"]), row(2, ["01 action"], ["02 action"]), row(3, ["02 action"], [])];
const causal = ["submit", "#1", "call 01", "answer 01", "#2", "call 02", "answer 02", "#3", "result"];

describe("a story", () => {
  it("tells everything in the order of causes, whatever becomes known first", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 12 }), (fromSeen) => {
        const story = new Story();
        const told: string[] = [];
        let s = 0;
        let r = 0;
        const takeSeen = () => s < seenSide.length && story.see(seenSide[s++]!);
        for (const next of fromSeen) {
          if (next) takeSeen();
          else story.journal(journal.slice(0, Math.min(++r, journal.length)));
          told.push(...story.tell(false).map(({ text }) => text));
        }
        while (s < seenSide.length) takeSeen();
        story.journal(journal);
        told.push(...story.tell(true).map(({ text }) => text));
        expect(told).toEqual(causal);
      }),
    );
  });

  it("tells at the end also what has no cause that it knows of", () => {
    const story = new Story();
    story.see(seen("call 07", { needsIntent: "07 action" }));
    story.journal([row(1, ["09 action"], [])]);
    expect(story.tell(false)).toEqual([]);
    expect(story.tell(true).map(({ text }) => text)).toEqual(["#1", "call 07"]);
  });

  it("goes by time where nothing else decides", () => {
    const story = new Story();
    story.see(seen("early", { atMs: 5 }));
    story.see(seen("late", { atMs: 20 }));
    story.journal([{ ...row(1, [], []), atMs: 10 }]);
    expect(story.tell(false).map(({ text }) => text)).toEqual(["early", "#1", "late"]);
  });
});

describe("a history", () => {
  const event = { atMs: 1, ops: [] as string[], status: "", by: "", reason: "" };

  it("keeps a retry apart from the row after which it came", () => {
    const rows = rowsOf([
      { ...event, version: 1, kind: "created" },
      { ...event, version: 1, kind: "started", ops: ["01 action"] },
      { ...event, version: 1, kind: "retried", ops: ["01 action"], reason: "refused" },
    ]);
    expect(rows.map(({ text }) => text)).toEqual([
      "accepted and stored → 01 action",
      "01 action is tried again later (refused)",
    ]);
  });

  it("becomes one row per commit, with words for its events", () => {
    const rows = rowsOf([
      { ...event, version: 1, kind: "created" },
      { ...event, version: 1, kind: "started", ops: ["01 action"] },
      { ...event, version: 2, kind: "settled", ops: ["01 action"], status: "failed" },
      { ...event, version: 2, kind: "aborting", by: "server", reason: "no" },
      { ...event, version: 2, kind: "started", ops: ["01 compensate"] },
      { ...event, version: 3, kind: "settled", ops: ["01 compensate"], status: "succeed" },
      { ...event, version: 3, kind: "finished", status: "failed" },
    ]);
    expect(rows.map(({ text, tone }) => [text, tone])).toEqual([
      ["accepted and stored → 01 action", "plain"],
      ["01 action failed; rolling back → 01 compensate", "bad"],
      ["01 compensate succeed; end: failed, undone", "undo"],
    ]);
    expect(rows.map(({ intends, settles }) => [intends, settles])).toEqual([
      [["01 action"], []],
      [["01 compensate"], ["01 action"]],
      [[], ["01 compensate"]],
    ]);
  });
});
