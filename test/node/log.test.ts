/**
 * The log: JSON lines with the event as message, secrets hidden, written before the process ends.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createLog } from "../../src/log.js";

it("writes lines of level debug only where that is the level, and offers nobody to write them otherwise", () => {
  const dir = mkdtempSync(join(tmpdir(), "tandem-log-"));
  const file = join(dir, "tandem.log");
  const log = createLog("debug", [file]);
  log.debug?.("request", { api: "submit" });
  log.close();
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ level: 20, msg: "request", api: "submit" });
  rmSync(dir, { recursive: true });
  for (const level of ["info", "warn", "error"]) expect(createLog(level, []).debug).toBeUndefined();
});

it("writes one JSON line an event, at once, with secrets hidden and nothing below its level", () => {
  const dir = mkdtempSync(join(tmpdir(), "tandem-log-"));
  const file = join(dir, "tandem.log");
  const log = createLog("warn", [file]);
  log.info("quiet", {});
  log.warn("suspended", { gid: "a\nb", password: "p4ss", store: { password: "p4ss" } });
  const text = readFileSync(file, "utf8");
  log.close();
  rmSync(dir, { recursive: true });
  expect(text).not.toContain("p4ss");
  expect(text.trimEnd().split("\n").length).toBe(1);
  expect(JSON.parse(text)).toMatchObject({ msg: "suspended", gid: "a\nb", password: "***" });
});
