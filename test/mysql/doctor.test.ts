/**
 * `tandem doctor` and `tandem migrate` on a database: what the user may not do is named with the GRANT that is missing,
 * and with that GRANT all is well.
 */
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { privileges } from "../../src/store/mysql/schema.js";
import { tandem } from "../cli/recorder.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";

interface Finding {
  readonly what: string;
  readonly state: string;
  readonly found: string;
  readonly advice: string;
}

describe.runIf(await available("mysql"))("tandem doctor on a database", () => {
  let server: Server;
  let database: Database;
  let user: string;

  beforeAll(async () => {
    server = await startMariadb({ own: true });
  });
  beforeEach(async () => {
    database = await makeDatabase(server);
    user = `u${database.name.slice(-12)}`;
    await administer(`CREATE USER '${user}'@'%' IDENTIFIED BY 'secret'`);
  });
  afterAll(() => server.stop());

  const administer = async (sql: string) => {
    const connection = await createConnection({ uri: database.url });
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    await connection.end();
    return rows;
  };
  const grant = (rights: readonly string[], on = `\`${database.name}\`.*`) =>
    administer(`GRANT ${rights.join(",")} ON ${on} TO '${user}'@'%'`);
  const url = (change: Partial<Pick<URL, "username" | "password" | "pathname" | "port">> = {}) =>
    Object.assign(new URL(database.url), { username: user, password: "secret", ...change }).href;
  /** Its remarks on the database alone. */
  const look = async (store = url(), environment: Record<string, string> = {}) => {
    const args = ["doctor", "--json", "--http-port", "0", "--grpc-port", "0", "--store", store];
    const { code, out } = await tandem(args, { environment });
    const findings = (JSON.parse(out) as Finding[]).filter(({ what }) => what === "database");
    return { code, findings, troubles: findings.filter(({ state }) => state === "trouble") };
  };
  const migrate = (store = url()) => tandem(["migrate", "--store", store]);

  it("names every missing privilege with its GRANT; who is given that can migrate and serve", async () => {
    await grant(["SELECT"]);
    const { code, troubles } = await look();
    expect(code).toBe(1);
    expect(troubles).toHaveLength(1);
    expect(troubles[0]!.found).toContain("lacks INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX on");
    expect(await migrate()).toMatchObject({ code: 5, err: expect.stringMatching(/denied/) });
    await administer(troubles[0]!.advice);
    expect((await look()).troubles).toEqual([]);
    expect(await migrate()).toMatchObject({ code: 0, out: expect.stringMatching(/:\*\*\*@.*: made, version 1/) });
    expect(await migrate()).toMatchObject({ code: 0, out: expect.stringMatching(/have version 1 already/) });
    expect((await look()).findings.map(({ state }) => state)).toEqual(["ok", "ok", "ok"]);
  });

  it("is content with a user that may only serve, once the tables are there, and says what a later version needs", async () => {
    await migrate(database.url);
    await grant(privileges.serve);
    const { code, findings } = await look();
    expect(code).toBe(0);
    expect(findings.filter(({ state }) => state === "warning").map(({ found }) => found)).toEqual([
      expect.stringContaining("lacks CREATE, ALTER, INDEX"),
    ]);
    expect((await look(url(), { TANDEM_STORE_MIGRATE_BY_HAND: "true" })).findings.map(({ state }) => state)).toEqual([
      ...["ok", "ok", "ok"],
    ]);
  });

  it("finds a privilege that one table alone lacks", async () => {
    await migrate(database.url);
    for (const table of ["head", "journal", "kv", "meta", "cl_node", "cl_shard"])
      await grant(table === "journal" ? ["SELECT", "INSERT"] : privileges.serve, `\`${database.name}\`.${table}`);
    expect((await look()).troubles.map(({ found }) => found)).toEqual([
      expect.stringContaining("lacks UPDATE, DELETE on"),
    ]);
  });

  it("counts grants on patterns and those of a role", async () => {
    await grant([...privileges.serve, ...privileges.migrate], `\`${database.name.slice(0, -1)}_\`.*`);
    expect((await look()).troubles).toEqual([]);
    await administer(`REVOKE ALL PRIVILEGES, GRANT OPTION FROM '${user}'@'%'`);
    const role = `r${user}`;
    await administer(`CREATE ROLE ${role}`);
    await administer(`GRANT ${privileges.serve.join(",")},CREATE,ALTER,INDEX ON \`${database.name}\`.* TO ${role}`);
    await administer(`GRANT ${role} TO '${user}'@'%'`);
    await administer(`SET DEFAULT ROLE ${role} FOR '${user}'@'%'`);
    expect((await look()).troubles).toEqual([]);
  });

  it("says what keeps it from the database, and what is dangerous about one", async () => {
    const found = async (store: string) => (await look(store)).troubles.map(({ advice }) => advice).join();
    expect(await found(url({ password: "wrong" }))).toBe("correct user or password in Store.Url");
    expect(await found(Object.assign(new URL(database.url), { pathname: "/nowhere" }).href)).toContain(
      "CREATE DATABASE",
    );
    expect(await found(url())).toContain(`GRANT ${[...privileges.serve, ...privileges.migrate].join(", ")} ON`);
    expect(await found(url({ port: "1" }))).toBe("start it, or correct Store.Url");
    await migrate(database.url);
    await administer("SET GLOBAL innodb_flush_log_at_trx_commit=2");
    const { findings } = await look(database.url);
    await administer("SET GLOBAL innodb_flush_log_at_trx_commit=1");
    expect(findings.filter(({ state }) => state === "warning").map(({ advice }) => advice)).toEqual(["set it to 1"]);
    await administer("UPDATE meta SET value='99' WHERE name IN ('schema', 'schema_oldest')");
    expect(await found(database.url)).toBe("use the version of tandem that made them");
  });
});
