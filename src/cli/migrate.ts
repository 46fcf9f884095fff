/**
 * `tandem migrate`: makes or completes the tables of the database that the configuration names. May be repeated, and
 * run beside nodes: what a migration changes keeps the nodes of the build before it going.
 */
import type { Loaded } from "../config/config.js";
import { connectUrl, masked } from "../config/store.js";
import { startFailure } from "./serve.js";
import type { Terminal } from "./terminal.js";

/** Says what was done. @throws CliError when the database cannot be used */
export async function migrate(terminal: Terminal, { config }: Loaded): Promise<void> {
  const { store } = config;
  if (store.kind !== "mysql") return terminal.out(`the store is ${store.kind}, which has no tables: nothing to do`);
  const { migrateMysql } = await import("../store/mysql/mysql.js"); // loads the driver, which few commands need
  const { from, to } = await migrateMysql(connectUrl(store)).catch((error: unknown) => {
    throw startFailure(error, config);
  });
  const done =
    from === to ? `have version ${to} already` : from === 0 ? `made, version ${to}` : `version ${from} → ${to}`;
  terminal.out(`tables of ${masked(store.url)}: ${done}`);
}
