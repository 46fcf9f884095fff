/**
 * What an error of the server means: nothing that can never succeed may be sent for ever, nothing that passes may stop
 * a transaction.
 */
import { expect, it } from "vitest";
import { type FailureKind, kindOf } from "../../src/store/mysql/answers.js";

it.each<readonly [what: string, error: object, kind: FailureKind]>([
  ["a connection that ended", { code: "ECONNRESET" }, "lost"],
  ["an answer after which the driver gives up", { errno: 1064, sqlState: "42000", fatal: true }, "lost"],
  ["a statement killed while it ran", { errno: 1317, sqlState: "70100" }, "lost"],
  ["a deadlock", { errno: 1213, sqlState: "40001" }, "collision"],
  ["a held row", { errno: 1205, sqlState: "HY000" }, "collision"],
  ["a taken key", { errno: 1062, sqlState: "23000" }, "held back"],
  ["guards that did not hold", { errno: 1048, sqlState: "23000" }, "held back"],
  ["a full disk", { errno: 1021, sqlState: "HY000" }, "unavailable"],
  ["a full table", { errno: 1114, sqlState: "HY000" }, "unavailable"],
  ["a read-only server", { errno: 1290, sqlState: "HY000" }, "unavailable"],
  ["a missing privilege", { errno: 1142, sqlState: "42000" }, "unavailable"],
  ["a missing table", { errno: 1146, sqlState: "42S02" }, "unavailable"],
  ["a value that is too long", { errno: 1406, sqlState: "22001" }, "refused"],
  ["a row that is too long", { errno: 1118, sqlState: "42000" }, "refused"],
  ["data of a kind not listed", { errno: 3140, sqlState: "22032" }, "refused"],
  ["a constraint not listed", { errno: 1452, sqlState: "23000" }, "refused"],
  ["what is no SQL", { errno: 1064, sqlState: "42000" }, "refused"],
  ["an answer that nobody has foreseen", { errno: 1644, sqlState: "45000" }, "unknown"],
])("takes %s for what it is", (_, error, kind) => {
  expect(kindOf(error)).toBe(kind);
});
