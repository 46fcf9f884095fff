/**
 * Several calls of one transaction at once: what was answered is not called again while its answer waits its turn.
 */
import { expect, it } from "vitest";
import { saga, world } from "./harness.js";

it("calls no branch again whose answer is in the mailbox while another answer is being recorded", async () => {
  const w = world();
  const urls = ["http://a.test/1", "http://a.test/2", "http://a.test/3"];
  let met = 0;
  let all: () => void = () => {};
  const together = new Promise<void>((resolve) => {
    all = resolve;
  });
  for (const url of urls)
    w.participants.scripts.set(url, async () => {
      if (++met === urls.length) all();
      await together;
      return { outcome: "success", detail: "" };
    });
  const submission = saga(urls, { waitResult: true, concurrent: true }, '{"concurrent":true}');
  expect(await w.ask("g", { kind: "submit", submission })).toEqual({ kind: "accepted" });
  expect(w.participants.of("g")).toEqual(["action 01", "action 02", "action 03"]);
});
