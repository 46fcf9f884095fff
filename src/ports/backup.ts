/**
 * A copy of a running store, where the store can make one.
 */

/**
 * Copies the store as it is at one moment into a folder of this machine, durably, while it goes on working. Resolves to
 * the number of transactions in the copy. @throws BackupRefused when the folder cannot take it; nothing is left there
 */
export type Backup = (dir: string) => Promise<number>;

/** The folder is not empty, or cannot be written; the message says which. */
export class BackupRefused extends Error {
  override readonly name = "BackupRefused";
}
