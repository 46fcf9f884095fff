/**
 * `tandem backup DIR`: the running server copies its store into an empty folder, consistently, while it goes on
 * working.
 */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Api } from "./api.js";
import { CliError } from "./exit.js";
import type { Terminal } from "./terminal.js";
import { fields, text } from "./transactions/answers.js";

/** Asks for the copy and waits until it is complete. The folder is one of the server's machine. */
export async function backup(api: Api, terminal: Terminal, folder: string, json: boolean): Promise<void> {
  const dir = resolve(folder);
  if (existsSync(dir) && readdirSync(dir).length > 0) {
    throw new CliError("usage", `${dir} is not empty`, ["name a folder that is empty or not there yet"]);
  }
  const answer = fields(await api.send("POST", "/api/v1/backup", { dir }, Number.POSITIVE_INFINITY));
  if (json) return terminal.out(JSON.stringify(answer, undefined, 2));
  terminal.out(`${text(answer.dir)}: ${text(answer.transactions)} transactions`);
  terminal.err(`start a server on it with: tandem serve --store lmdb:${dir}`);
}
