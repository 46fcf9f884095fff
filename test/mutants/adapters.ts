/**
 * Breaks of the client's adapters: connections that handlers share, servers that are trusted unseen, frameworks whose
 * own answers mean something else to a coordinator.
 */
import type { Mutant } from "./mutant.js";

const sqlite = "test/client/sqlite/sqlite.test.ts";
const sqlServer = "test/client/sqlserver/sqlserver.test.ts";
const nest = "test/client/participant/nest.test.ts";

/** All breaks of adapters. */
export const adapterMutants: readonly Mutant[] = [
  {
    name: "handlers take no turns on a connection",
    file: "src/client/barrier/turns.ts",
    find: "const leave = await turnsFor(connection).take(patienceMs);",
    replace: "await turnsFor({}).take(patienceMs);\n  const leave = () => {};",
    tests: [sqlite],
    rule: "keeps its turn when its transaction was ended early",
  },
  {
    name: "a lock is waited for on the thread of its holder",
    file: "src/client/barrier/sqlite.ts",
    find: 'database.exec("pragma busy_timeout = 0");',
    replace: "",
    tests: [sqlite],
    rule: "without stopping the process",
  },
  {
    name: "a connection without a transaction is taken for one",
    file: "src/client/barrier/sqlitedialect.ts",
    find: 'await tx.exec("rollback", []);\n  throw noTransaction(undefined);',
    replace: 'await tx.exec("rollback", []);',
    tests: [sqlite],
    rule: "refuses a connection without an open transaction",
  },
  {
    name: "a SQL Server is trusted to wait",
    file: "src/client/barrier/sqlserver.ts",
    find: "await tryWaiting(sqlBarrier(",
    replace: "void (async () => {}) ?? tryWaiting(sqlBarrier(",
    tests: [sqlServer],
    rule: "an insert does not wait for an open transaction",
  },
  {
    name: "in Nest a compensation may refuse",
    file: "src/client/participant/nest.ts",
    find: 'return op === "" ? error : mustSucceed(',
    replace: 'return op !== "none" ? error : mustSucceed(',
    tests: [nest],
    rule: "cannot refuse a compensation",
  },
];
