/** The database over TLS: by an authority of its own, by name, with a client certificate, and never in plain text. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectUrl, type StoreTls } from "../../src/config/store.js";
import { StoreUnavailable } from "../../src/ports/store.js";
import { migrateMysql } from "../../src/store/mysql/mysql.js";
import { createAuthority } from "../caller/certificates.js";
import { tandem } from "../cli/recorder.js";
import { available, type Database, makeDatabase, type Server, startMariadb } from "../servers.js";

describe.runIf(await available("mysql"))("a database over TLS", () => {
  const folder = mkdtempSync(join(tmpdir(), "tandem-mysql-tls-"));
  const authority = createAuthority("Database CA");
  const stranger = createAuthority("Strange CA");
  const client = authority.issue(["tandem"]);
  let server: Server;
  let database: Database;

  beforeAll(async () => {
    const own = authority.issue(["localhost"]);
    const [ca, cert, key] = ["ca", "cert", "key"].map((name) => join(folder, `${name}.pem`));
    writeFileSync(ca!, authority.cert);
    writeFileSync(cert!, own.cert);
    writeFileSync(key!, own.key);
    server = await startMariadb({ args: [`--ssl-ca=${ca}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`] });
    database = await makeDatabase(server);
    const admin = await createConnection({ uri: database.url, multipleStatements: true });
    await admin.query(
      `CREATE USER secure@'%' IDENTIFIED BY 'secret' REQUIRE SSL; GRANT ALL ON ${database.name}.* TO secure@'%';
       CREATE USER known@'%' IDENTIFIED BY 'secret' REQUIRE X509; GRANT ALL ON ${database.name}.* TO known@'%'`,
    );
    await admin.end();
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true });
  });

  const reach = (user: string, tls: Partial<StoreTls> | undefined, hostname = "localhost") => {
    const url = Object.assign(new URL(database.url), { username: user, password: "secret", hostname }).href;
    return migrateMysql(connectUrl({ url, ...(tls && { tls: { ca: "", cert: "", key: "", ...tls } }) }));
  };

  it("is reached by its authority, and by no other, not by another name, not in plain text", async () => {
    await expect(reach("secure", { ca: authority.cert })).resolves.toMatchObject({ to: 1 });
    await expect(reach("secure", { ca: stranger.cert })).rejects.toThrow(StoreUnavailable);
    await expect(reach("secure", {})).rejects.toThrow(/certificate/);
    await expect(reach("secure", undefined)).rejects.toThrow(/denied/);
  });

  it("is shown a client certificate where it asks for one", async () => {
    await expect(reach("known", { ca: authority.cert, ...client })).resolves.toMatchObject({ to: 1 });
    await expect(reach("known", { ca: authority.cert })).rejects.toThrow(/denied/);
  });

  it("is called over TLS by the tools, too, which show neither password nor key", async () => {
    const store = Object.assign(new URL(database.url), {
      username: "secure",
      password: "secret",
      hostname: "localhost",
    });
    const environment = { TANDEM_STORE_CA_FILE: join(folder, "ca.pem") };
    const terminal = await tandem(["migrate", "--store", store.href], { environment });
    expect(terminal.code).toBe(0);
    expect(terminal.out).toContain(":***@localhost");
    expect(terminal.out).not.toMatch(/secret|BEGIN/);
  });
});
