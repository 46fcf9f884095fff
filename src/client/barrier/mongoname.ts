// The name of the barrier's collection in MongoDB, checked when the guard is made instead of at its first call.

import { invalidInput } from "../errors.js";

/** The parts of `database.collection`; anything but letters, digits, `_` and `-` throws DTX_INVALID_INPUT. */
export function collectionOf(name: string): { readonly database: string; readonly collection: string } {
  const [, database, collection] = /^([\w-]{1,63})\.([\w-]{1,120})$/.exec(name) ?? [];
  if (database !== undefined && collection !== undefined) return { database, collection };
  throw invalidInput(`not a database and collection: ${JSON.stringify(name)}`, {
    hint: "write database.collection with letters, digits, _ and -",
  });
}
