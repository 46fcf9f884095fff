/**
 * Opaque cursors of pages, the same text in every store: base64url of a letter for the kind of page and a JSON value.
 * A client may send back anything, so reading one checks every part.
 */

/** Cursor of a list of heads: everything from `id` upwards has been read. */
export function listCursor(id: number): string {
  return encode("h", id);
}

/** The id of a list cursor, or `undefined` for none. @throws RangeError when the text is no list cursor */
export function readListCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  const id = decode("h", cursor);
  if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) throw notOurs(cursor);
  return id;
}

/** Cursor of a scan of key-values: everything up to this entry has been read. */
export function scanCursor(entry: { readonly category: string; readonly key: string }): string {
  return encode("k", [entry.category, entry.key]);
}

/** The entry of a scan cursor, or `undefined` for none. @throws RangeError when the text is no scan cursor */
export function readScanCursor(cursor: string | undefined): { category: string; key: string } | undefined {
  if (cursor === undefined) return undefined;
  const pair = decode("k", cursor);
  if (!Array.isArray(pair) || pair.length !== 2) throw notOurs(cursor);
  const [category, key] = pair;
  if (typeof category !== "string" || typeof key !== "string") throw notOurs(cursor);
  return { category, key };
}

function encode(kind: string, value: unknown): string {
  return Buffer.from(kind + JSON.stringify(value), "utf8").toString("base64url");
}

function decode(kind: string, cursor: string): unknown {
  const text = Buffer.from(cursor, "base64url").toString("utf8");
  if (!text.startsWith(kind)) throw notOurs(cursor);
  try {
    return JSON.parse(text.slice(kind.length));
  } catch (cause) {
    throw new RangeError(`cursor ${JSON.stringify(cursor)} is none of this list`, { cause });
  }
}

function notOurs(cursor: string): RangeError {
  return new RangeError(`cursor ${JSON.stringify(cursor)} is none of this list`);
}
