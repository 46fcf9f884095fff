/**
 * One connection to MySQL or MariaDB that comes back by itself and never lets anybody wait for ever: every packet has a
 * deadline. A packet may have run although its answer was lost, and may then run once more: whoever uses this sends
 * only statements that bear it.
 */
import { type Connection, createConnection, type RowDataPacket } from "mysql2/promise";
import { StoreUnavailable } from "../../ports/store.js";
import { isCollision, isNotNow, wordsOf } from "./answers.js";
import { connectionOptions } from "./connection.js";

/** Rows of a SELECT, or what a statement changed. */
export type Result = readonly RowDataPacket[] & { readonly affectedRows?: number };

/** How a connection is made and watched. */
export interface LineOptions {
  /** mysql://user:password@host:port/db; options of the driver as query. */
  readonly url: string;
  /** Longest wait for connecting, and for the answer to one packet. */
  readonly timeoutMs: number;
  /** Runs on each fresh connection before anything else is sent; its statements must be sent through `send`. */
  readonly greet?: (connectionId: number, send: (sql: string) => Promise<unknown>) => Promise<void>;
}

/** How often a statement that collided is sent in all. */
const triesMax = 3;

export class Line {
  readonly #options: LineOptions;
  #connection: Promise<Connection> | undefined;
  #closed = false;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /**
   * Sends statements as one packet; resolves to one result each.
   * @throws StoreUnavailable when the server cannot be reached, does not answer in time or takes nothing now
   */
  async send(sql: string, values: readonly unknown[] = []): Promise<readonly Result[]> {
    for (let tries = 1; ; tries++) {
      try {
        const [results] = await this.#once(sql, values);
        return (/;\s*\S/.test(sql) ? results : [results]) as unknown as readonly Result[];
      } catch (error) {
        const code = errorCode(error);
        if (tries < triesMax && (isCollision(code) || (tries === 1 && isBroken(error)))) continue;
        if (isBroken(error) || isNotNow(code)) throw new StoreUnavailable(reason(error), { cause: error });
        throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    connection?.destroy();
  }

  async #once(sql: string, values: readonly unknown[]) {
    if (this.#closed) throw new StoreUnavailable("closed");
    this.#connection ??= this.#open();
    const opening = this.#connection;
    const connection = await opening.catch((error) => {
      this.#forget(opening);
      throw new Broken(reason(error), { cause: error });
    });
    try {
      return await within(this.#options.timeoutMs, connection.query(sql, values as unknown[]));
    } catch (error) {
      if (isBroken(error)) this.#forget(opening, connection);
      throw error;
    }
  }

  async #open(): Promise<Connection> {
    const { url, timeoutMs, greet } = this.#options;
    const connection = await createConnection(connectionOptions(url, timeoutMs));
    connection.on("error", () => {}); // the next packet meets it
    try {
      await within(timeoutMs, connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"));
      await within(timeoutMs, connection.query("SET SESSION innodb_lock_wait_timeout=2"));
      await greet?.(connection.threadId, (sql) => within(timeoutMs, connection.query(sql)));
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  #forget(opening: Promise<Connection>, connection?: Connection): void {
    if (this.#connection === opening) this.#connection = undefined;
    connection?.destroy();
  }
}

/** The connection is of no use any more. */
class Broken extends Error {
  override readonly name = "Broken";
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Broken(`no answer within ${timeoutMs} ms`)), timeoutMs);
    timer.unref();
  });
  work.catch(() => {}); // once it is late nobody listens any more
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Errors that came from the connection, not as the server's answer to a statement, end it. */
function isBroken(error: unknown): boolean {
  if (error instanceof Broken) return true;
  const { fatal, errno, sqlState } = error as { fatal?: boolean; errno?: number; sqlState?: string };
  return fatal === true || (sqlState === undefined && errno !== undefined) || errno === 1927 || errno === 1317;
}

function errorCode(error: unknown): number {
  return (error as { errno?: number }).errno ?? 0;
}

function reason(error: unknown): string {
  return `the database: ${wordsOf(error)}`;
}
