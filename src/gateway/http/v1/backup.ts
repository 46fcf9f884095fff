/**
 * `POST /api/v1/backup`: a consistent copy of the running store in a folder of the server's machine.
 */
import { isAbsolute } from "node:path";
import { type Backup, BackupRefused } from "../../../ports/backup.js";
import { readText } from "../../../wire/fields.js";
import { InvalidInput } from "../../../wire/invalid.js";
import { parseObject } from "../../../wire/json.js";
import type { InputLimits } from "../../../wire/limits.js";
import { valueAnswer } from "../answer.js";
import type { Route } from "../route.js";
import { backupBody, backupMade } from "./schemas.js";

/** The route; a store that cannot be copied says so. */
export function backupRoute(path: string, backup: Backup | undefined, limits: InputLimits): Route {
  return {
    methods: ["POST"],
    path,
    name: "v1.backup",
    doc: {
      id: "backup",
      summary: "Copies the running store into an empty folder of the server's machine",
      tag: "node",
      body: backupBody,
      answer: backupMade,
      refusals: ["BAD_REQUEST", "UNAVAILABLE"],
    },
    async handle({ body }) {
      const dir = readText(parseObject(body, limits), "dir");
      if (!isAbsolute(dir)) throw new InvalidInput("dir: no absolute path met, that of an empty folder needed");
      if (backup === undefined) throw new InvalidInput("this store cannot be copied while it runs: use its own tools");
      return valueAnswer({ dir, transactions: await backup(dir).catch(refused) });
    },
  };
}

function refused(error: unknown): never {
  if (error instanceof BackupRefused) throw new InvalidInput(`dir: ${error.message}`);
  throw error;
}
