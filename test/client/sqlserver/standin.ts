// A stand-in for a SQL Server behind mssql's pool, made from the vendor's documentation: what a unique index with
// IGNORE_DUP_KEY does, which locks an insert waits for, LOCK_TIMEOUT within a batch, error numbers, @@trancount, named
// parameters. It takes the statements of the barrier and refuses every other text. It proves the barrier's use of these
// rules, not that a server keeps them.

import type { SqlServerPool, SqlServerRequest, SqlServerTransaction } from "../../../src/client/barrier/sqlserver.js";

type Fields = Readonly<Record<string, string>>;

interface Entry {
  readonly fields: Fields;
  createdAtMs: number;
  /** The transaction that inserted it and is still open. */
  owner: SqlServerTransaction | undefined;
}

interface Table {
  readonly entries: Entry[];
  /** Columns of its unique key. */
  readonly key: readonly string[] | undefined;
  /** What the key does about a row that is there: refuse the statement, add nothing, or add nothing without waiting. */
  readonly duplicates: "refused" | "ignored" | "ignored at once";
}

/** The stand-in: its pool, and its tables for tests to look into. */
export interface StandIn {
  readonly pool: SqlServerPool;
  readonly tables: Map<string, Table>;
  readonly texts: string[];
  committed(table: string): readonly Fields[];
}

/** As the driver throws it. */
const refusal = (number: number, message: string) => Object.assign(new Error(message), { number, code: "EREQUEST" });

type Answer = { recordset?: readonly Fields[]; rowsAffected: number[] };
type Statement = (match: RegExpExecArray, params: readonly string[], tx: SqlServerTransaction) => Promise<Answer>;

/** An empty server with a table of effects. */
export function standIn(duplicates: Table["duplicates"] = "ignored"): StandIn {
  const tables = new Map<string, Table>([["effects", { entries: [], key: undefined, duplicates }]]);
  const texts: string[] = [];
  const open = new Set<SqlServerTransaction>();
  const tableOf = (name: string): Table => {
    const found = tables.get(name.replace(/"/g, ""));
    if (found === undefined) throw refusal(208, `Invalid object name '${name}'.`);
    return found;
  };
  const statements = statementsOn(tables, tableOf, duplicates, open);
  const run = async (text: string, inputs: ReadonlyMap<string, string>, tx: SqlServerTransaction) => {
    texts.push(text);
    for (const [pattern, answer] of statements) {
      const match = pattern.exec(text);
      const names = [...text.matchAll(/@p\d+/g)].map(([name]) => name.slice(1));
      if (match !== null)
        return answer(
          match,
          names.map((name) => inputs.get(name) ?? failedInput(name)),
          tx,
        );
    }
    throw refusal(102, `Incorrect syntax near '${text}'.`);
  };
  const end = (tx: SqlServerTransaction, keep: boolean) => {
    if (!open.delete(tx)) throw Object.assign(new Error("Transaction has not begun."), { code: "ENOTBEGUN" });
    for (const { entries } of tables.values()) {
      for (const entry of entries.filter(({ owner }) => owner === tx)) {
        if (keep) entry.owner = undefined;
        else entries.splice(entries.indexOf(entry), 1);
      }
    }
  };
  const transaction = (): SqlServerTransaction => {
    const tx: SqlServerTransaction = {
      begin: async () => void open.add(tx),
      commit: async () => end(tx, true),
      rollback: async () => end(tx, false),
      request() {
        const inputs = new Map<string, string>();
        const request: SqlServerRequest = {
          input: (name, value) => void inputs.set(name, String(value)),
          query: (text) => run(text, inputs, tx),
        };
        return request;
      },
    };
    return tx;
  };
  const committed = (name: string) =>
    tableOf(name)
      .entries.filter(({ owner }) => owner === undefined)
      .map(({ fields }) => fields);
  return { pool: { transaction }, tables, texts, committed };
}

const failedInput = (name: string): never => {
  throw refusal(137, `Must declare the scalar variable "@${name}".`);
};

const key = ["gid", "branch_id", "op", "barrier_id"];

/** The barrier's statements, one by one. */
function statementsOn(
  tables: Map<string, Table>,
  tableOf: (name: string) => Table,
  duplicates: Table["duplicates"],
  open: ReadonlySet<SqlServerTransaction>,
): readonly (readonly [RegExp, Statement])[] {
  const named = (columns: string, params: readonly string[]): Fields =>
    Object.fromEntries(columns.split(", ").map((column, index) => [column, params[index]!]));
  const visible = (name: string, columns: readonly string[], params: readonly string[], tx: SqlServerTransaction) =>
    tableOf(name)
      .entries.filter(({ owner }) => owner === undefined || owner === tx)
      .map(({ fields }) => fields)
      .filter((fields) => columns.every((column, index) => fields[column] === params[index]));
  return [
    [
      /^(?:set lock_timeout (\d+);\n)?insert into (\S+) \(([\w, ]+)\) values \((?:@p\d+(?:, )?)+\)$/,
      async ([, patienceMs = "60000", table = "", columns = ""], params, tx) => ({
        rowsAffected: [await inserted(tableOf(table), named(columns, params), tx, Number(patienceMs))],
      }),
    ],
    [
      /^set lock_timeout \d+;\nselect [\w, ]+ from (\S+) with \(readcommittedlock\)\nwhere gid = @p0 and branch_id = @p1 and op = @p2 and barrier_id = @p3$/,
      async ([, table = ""], params, tx) => answer(visible(table, key, params, tx)),
    ],
    [
      /^select result from (\S+) where gid = @p0 and branch_id = @p1 and op = @p2 and barrier_id = @p3$/,
      async ([, table = ""], params, tx) => answer(visible(table, key, params, tx)),
    ],
    [
      /^select create_time from (\S+) where gid = @p0$/,
      async ([, table = ""], params, tx) => answer(visible(table, ["gid"], params, tx)),
    ],
    [/^select @@trancount as depth$/, async (_match, _params, tx) => answer([{ depth: open.has(tx) ? "1" : "0" }])],
    [
      /^delete top \((\d+)\) from (\S+) where create_time < dateadd\(second, -@p0, getdate\(\)\)$/,
      async ([, most, table = ""], [seconds]) => {
        const { entries } = tableOf(table);
        const before = Date.now() - Number(seconds) * 1_000;
        const old = entries.filter(({ createdAtMs }) => createdAtMs < before).slice(0, Number(most));
        for (const entry of old) entries.splice(entries.indexOf(entry), 1);
        return { rowsAffected: [old.length] };
      },
    ],
    [/^if schema_id\(N'\w+'\) is null exec\(N'create schema "\w+"'\)$/, async () => ({ rowsAffected: [] })],
    [
      /^if object_id\(N'([\w.]+)', N'U'\) is null create table (\S+) \(([\s\S]+)\)$/,
      async ([, name = "", quoted = "", columns = ""]) => {
        if (quoted.replace(/"/g, "") !== name) throw refusal(102, "two names for one table");
        const ignores = /unique \(gid, branch_id, op, barrier_id\) with \(ignore_dup_key = on\)/.test(columns);
        const made: Table = { entries: [], key, duplicates: ignores ? duplicates : "refused" };
        if (!tables.has(name)) tables.set(name, made);
        return { rowsAffected: [] };
      },
    ],
  ];
}

const answer = (recordset: readonly Fields[]): Answer => ({ recordset, rowsAffected: [recordset.length] });

/** Waits for the open transaction that holds the key; then adds the row, or does what the index says. */
async function inserted(table: Table, fields: Fields, tx: SqlServerTransaction, patienceMs: number): Promise<0 | 1> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const same = table.key && table.entries.find((entry) => table.key!.every((at) => entry.fields[at] === fields[at]));
    if (same === undefined) {
      table.entries.push({ fields, createdAtMs: Date.now(), owner: tx });
      return 1;
    }
    if (same.owner === undefined || same.owner === tx || table.duplicates === "ignored at once") {
      if (table.duplicates === "refused") throw refusal(2627, "Violation of UNIQUE KEY constraint 'uniq_barrier'.");
      return 0;
    }
    if (performance.now() > until) throw refusal(1222, "Lock request time out period exceeded.");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
