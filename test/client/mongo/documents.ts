// What the barrier's tests need of MongoDB's storage: collections with snapshots, transactions and unique indexes. Two
// open transactions that insert one key: the second is refused at once; a write outside any transaction waits instead.

/** A document, by its field names. */
export type Fields = Readonly<Record<string, unknown>>;

/** An error as the server answers it. */
export class Refusal extends Error {
  readonly code: number;
  readonly labels: readonly string[];

  constructor(code: number, message: string, labels: readonly string[] = []) {
    super(message);
    this.code = code;
    this.labels = labels;
  }
}

/** The label by which drivers know that a whole transaction may be tried again. */
export const transient = ["TransientTransactionError"] as const;

/** One transaction: what it sees, and whether the server has ended it. */
export interface Transaction {
  readonly snapshot: number;
  state: "open" | "committed" | "aborted";
}

interface Entry {
  fields: Fields;
  /** Undefined while the transaction that wrote it is open. */
  committedAt: number | undefined;
  readonly writer: Transaction | undefined;
}

interface Collection {
  readonly entries: Set<Entry>;
  /** Field names of the unique index. */
  unique: readonly string[] | undefined;
}

/** All collections of one server, by `database.collection`. */
export class Documents {
  readonly #collections = new Map<string, Collection>();
  #now = 0;
  #conflicts = 0;

  begin(): Transaction {
    return { snapshot: this.#now, state: "open" };
  }

  /** Everything it wrote becomes visible at one moment; ending an ended one in the same way is harmless. */
  commit(tx: Transaction): void {
    if (tx.state === "committed") return;
    if (tx.state === "aborted") throw new Refusal(251, "the transaction has been aborted", transient);
    tx.state = "committed";
    const at = ++this.#now;
    for (const entry of this.#written(tx)) entry.committedAt = at;
  }

  abort(tx: Transaction): void {
    if (tx.state !== "open") return;
    tx.state = "aborted";
    for (const { entries } of this.#collections.values()) {
      for (const entry of entries) if (entry.writer === tx) entries.delete(entry);
    }
  }

  index(name: string, unique: readonly string[]): void {
    this.#collection(name).unique ??= unique;
  }

  /** `undefined` if the collection does not exist. */
  uniqueOf(name: string): { readonly fields: readonly string[] | undefined } | undefined {
    const found = this.#collections.get(name);
    return found && { fields: found.unique };
  }

  find(name: string, filter: Fields, tx: Transaction | undefined): readonly Fields[] {
    const visible = [...(this.#collections.get(name)?.entries ?? [])].filter((entry) => isVisible(entry, tx));
    return visible.map(({ fields }) => fields).filter((fields) => matches(fields, filter));
  }

  /** Undefined if it was inserted; the open transaction that a write outside any must wait for, if there is one. */
  insert(name: string, fields: Fields, tx: Transaction | undefined): Transaction | undefined {
    const { entries, unique } = this.#collection(name);
    const same = unique && [...entries].find((other) => unique.every((key) => other.fields[key] === fields[key]));
    if (same === undefined) {
      entries.add({ fields, writer: tx, committedAt: tx === undefined ? ++this.#now : undefined });
      return undefined;
    }
    const isOpen = same.committedAt === undefined && same.writer !== tx;
    if (isOpen && tx === undefined) return same.writer;
    const isNewer = same.committedAt !== undefined && tx !== undefined && same.committedAt > tx.snapshot;
    // Servers answer a key that was committed after the snapshot in either way.
    if (isOpen || (isNewer && this.#conflicts++ % 2 === 0)) throw new Refusal(112, "WriteConflict", transient);
    throw new Refusal(11_000, `E11000 duplicate key error collection: ${name}`);
  }

  /** Sets members of what the open transaction itself has inserted; changes of other documents are refused. */
  set(name: string, filter: Fields, members: Fields, tx: Transaction | undefined): number {
    const { entries } = this.#collection(name);
    const found = [...entries].filter((entry) => isVisible(entry, tx) && matches(entry.fields, filter));
    for (const entry of found) {
      if (tx === undefined || entry.writer !== tx || entry.committedAt !== undefined) {
        throw new Refusal(9, "only a transaction's own documents can be changed here");
      }
      entry.fields = { ...entry.fields, ...members };
    }
    return found.length;
  }

  delete(name: string, filter: Fields): number {
    const { entries } = this.#collection(name);
    const found = [...entries].filter((entry) => isVisible(entry, undefined) && matches(entry.fields, filter));
    for (const entry of found) entries.delete(entry);
    return found.length;
  }

  #collection(name: string): Collection {
    const found = this.#collections.get(name) ?? { entries: new Set<Entry>(), unique: undefined };
    this.#collections.set(name, found);
    return found;
  }

  #written(tx: Transaction): readonly Entry[] {
    return [...this.#collections.values()].flatMap(({ entries }) => [...entries]).filter(({ writer }) => writer === tx);
  }
}

function isVisible({ committedAt, writer }: Entry, tx: Transaction | undefined): boolean {
  if (committedAt === undefined) return tx !== undefined && writer === tx;
  return tx === undefined || writer === tx || committedAt <= tx.snapshot;
}

/** Equality, `$in`, `$type: "objectId"`, and `$expr` with one `$lt` against `$toObjectId`. Others are refused. */
function matches(fields: Fields, filter: Fields): boolean {
  return Object.entries(filter).every(([name, wanted]) => {
    if (name === "$expr") return isBefore(fields, wanted as { $lt: [string, { $toObjectId: string }] });
    if (typeof wanted !== "object" || wanted === null) return fields[name] === wanted;
    const { $in, $type } = wanted as { $in?: readonly unknown[]; $type?: string };
    if ($in !== undefined) return $in.some((one) => String(one) === String(fields[name]));
    if ($type === "objectId") return typeof fields[name] === "object";
    throw new Refusal(2, `this server does not know the filter ${JSON.stringify(wanted)}`);
  });
}

function isBefore(fields: Fields, { $lt: [path, { $toObjectId }] }: { $lt: [string, { $toObjectId: string }] }) {
  return String(fields[path.slice(1)]) < $toObjectId;
}
