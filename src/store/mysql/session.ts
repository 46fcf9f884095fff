/**
 * The connection that writes. Unlike a Line it never sends anything twice: what it says about a failure decides whether
 * a flush is surely not written, or in doubt.
 */
import { type Connection, createConnection, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { type FailureKind, kindOf, wordsOf } from "./answers.js";
import { connectionOptions } from "./connection.js";
import { brackets, type Manners } from "./packet.js";

/** Results of the statements of a packet, in order. */
export type Results = readonly (RowDataPacket[] & ResultSetHeader)[];

/** Thrown by a session, and by nobody else. */
export class SessionFailure extends Error {
  override readonly name = "SessionFailure";
  readonly kind: FailureKind;

  constructor(kind: FailureKind, cause: unknown) {
    super(`the database: ${wordsOf(cause)}`, { cause });
    this.kind = kind;
  }
}

/** Of a session. */
export interface SessionOptions {
  /** mysql://user:password@host:port/db; options of the driver as query. */
  readonly url: string;
  /** Longest wait for a connection, and for the answer to one packet. */
  readonly timeoutMs: number;
  /** Told the id of each connection before anything is written through it; a node notes it with its lease. */
  readonly enlist: ((connectionId: number) => Promise<void>) | undefined;
  /** Told when a connection that was enlisted will not write any more. */
  readonly dismiss: ((connectionId: number) => void) | undefined;
}

interface Opened extends Manners {
  readonly connection: Connection;
  isGone: boolean;
}

/** What stands in a comment that begins with M! is read by MariaDB alone. */
const greeting = [
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
  "SET SESSION innodb_lock_wait_timeout=2, autocommit=1 /*M!100300 , idle_transaction_timeout=1 */",
  "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
  "SELECT @@max_allowed_packet AS packet_bytes, VERSION() AS version",
].join("; ");

/** Makes a new connection fit for flushes and bumps. */
export async function greet(connection: Connection): Promise<Manners> {
  const [results] = await connection.query<RowDataPacket[][]>(greeting);
  const [facts] = results[3] as RowDataPacket[];
  return {
    brackets: String(facts?.version).includes("MariaDB") ? brackets.mariadb : brackets.mysql,
    packetBytesMax: Math.floor(Number(facts?.packet_bytes) / 2),
  };
}

/** See the file's head. One packet at a time. */
export class Session {
  readonly #options: SessionOptions;
  #opened: Opened | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Of the connection there is; `undefined`: it has to be opened first. */
  get manners(): Manners | undefined {
    return this.#opened;
  }

  /** Connects unless it is connected. @throws SessionFailure `unsent` */
  async open(): Promise<Manners> {
    try {
      this.#opened ??= await this.#connect();
      return this.#opened;
    } catch (cause) {
      throw new SessionFailure("unsent", cause);
    }
  }

  /**
   * Sends a packet to the connection that `open` made. @throws SessionFailure; the connection is usable or gone then
   */
  async send(sql: string): Promise<Results> {
    const opened = this.#opened;
    if (opened === undefined) throw new SessionFailure("unsent", new Error("not connected"));
    try {
      const [results] = await withDeadline(this.#options.timeoutMs, opened.connection.query(sql));
      return (Array.isArray(results) ? results : [results]) as unknown as Results;
    } catch (cause) {
      const kind = kindOf(cause);
      if (kind === "lost") this.#forget(opened);
      else await this.#rollBack(opened);
      throw new SessionFailure(kind, cause);
    }
  }

  close(): void {
    if (this.#opened !== undefined) this.#forget(this.#opened);
  }

  async #connect(): Promise<Opened> {
    const { url, timeoutMs, enlist } = this.#options;
    const connection = await createConnection({
      ...connectionOptions(url, timeoutMs),
      queryFormat: (sql) => sql, // no placeholders: nothing to look for
    });
    const forget = (): void => {
      if (this.#opened?.connection === connection) this.#forget(this.#opened);
    };
    connection.on("error", forget); // ended while idle: the next flush connects anew and is in no doubt
    connection.on("end", forget);
    let isEnlisted = false;
    try {
      const manners = await withDeadline(timeoutMs, greet(connection));
      isEnlisted = true;
      await enlist?.(connection.threadId);
      return { connection, ...manners, isGone: false };
    } catch (cause) {
      connection.destroy();
      if (isEnlisted) this.#options.dismiss?.(connection.threadId);
      throw cause;
    }
  }

  /** The server has ended the packet, not the transaction: its locks stay until somebody rolls back. */
  async #rollBack(opened: Opened): Promise<void> {
    try {
      await withDeadline(this.#options.timeoutMs, opened.connection.query(opened.brackets.rollback));
    } catch {
      this.#forget(opened);
    }
  }

  /** Its end and the failure of what it was about to answer may both say so: it is dismissed once. */
  #forget(opened: Opened): void {
    if (this.#opened === opened) this.#opened = undefined;
    if (opened.isGone) return;
    opened.isGone = true;
    opened.connection.destroy();
    this.#options.dismiss?.(opened.connection.threadId);
  }
}

async function withDeadline<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  work.catch(() => {}); // once it is late nobody listens any more
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
