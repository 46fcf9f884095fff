// The tool's commands about a participant's SQLite file, by whichever driver there is.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Libsql from "libsql";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openDatabase } from "../../../src/client/database/open.js";
import { tandem } from "../../cli/recorder.js";

describe("tandem on a participant's SQLite file", () => {
  const folder = mkdtempSync(join(tmpdir(), "tandem-sqlite-cli-"));
  const file = join(folder, "bank.db");
  let db: Libsql.Database;
  beforeAll(() => {
    db = new Libsql(file);
    db.exec("create table account (id text primary key)");
  });
  afterAll(() => {
    db?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const tool = (...args: string[]) => tandem(args, { environment: { TANDEM_DATABASE_URL: `sqlite:${file}` } });
  const insert = (gid: string, at: string) =>
    db.exec(`insert into barrier (trans_type, gid, branch_id, op, barrier_id, reason, create_time)
      values ('saga', '${gid}', '01', 'action', '01', 'compensate', ${at})`);

  it("says what to do while there is no table, makes it, and makes it again without harm", async () => {
    const missing = await tool("barrier", "clean");
    expect(missing).toMatchObject({ code: 5, err: expect.stringContaining("no such table") });
    for (const _ of [1, 2]) expect(await tool("barrier", "migrate", "--remember")).toMatchObject({ code: 0, err: "" });
    expect(db.prepare("select * from barrier_result").all()).toEqual([]);
  });

  it("deletes what is old enough, and reads the rows of a gid", async () => {
    insert("old", "datetime('now', '-8 days')");
    insert("new", "datetime('now')");
    expect(await tool("barrier", "clean")).toMatchObject({ code: 0, out: expect.stringContaining(": 1 rows older") });
    const opened = await openDatabase(`sqlite://${file}`, {});
    const row = { branchId: "01", op: "action", barrierId: "01", reason: "compensate" };
    expect(await opened.rows("new")).toEqual([{ ...row, createdAt: expect.stringMatching(/^20\d\d-/) }]);
    expect(await opened.rows("old")).toEqual([]);
    await opened.end();
  });

  it("makes no file of a name that is mistyped, and knows that SQLite has no XA", async () => {
    const lost = join(folder, "bnak.db");
    const mistyped = await tandem(["barrier", "migrate", "--database", `sqlite:${lost}`]);
    expect(mistyped).toMatchObject({ code: 2, err: expect.stringContaining("no database file") });
    expect(existsSync(lost)).toBe(false);
    expect(await tool("xa", "recover")).toMatchObject({ code: 2, err: expect.stringContaining("no XA") });
  });
});
