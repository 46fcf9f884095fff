/** What every connection of the store has in common, whether it reads or writes. */
import type { ConnectionOptions } from "mysql2/promise";

/** `url`: mysql://user:password@host:port/db, options of the driver as query; they yield to those here. */
export function connectionOptions(url: string, timeoutMs: number): ConnectionOptions {
  return {
    uri: url,
    multipleStatements: true,
    supportBigNumbers: true,
    enableKeepAlive: true,
    trace: false, // a stack of every query, for errors that tell what they are anyway: a quarter of the driver's CPU
    connectTimeout: timeoutMs,
    timezone: "Z",
  };
}
