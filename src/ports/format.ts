/**
 * The format: one number for all that outlives a process or goes from one build to another (journal rows, folders,
 * messages between nodes). Nodes of a shared store write the format that the store names; it is raised when every node
 * that takes part reads the next one, so nobody ever meets what it cannot read.
 */

/** Formats that a build reads and writes, both ends included. */
export interface Formats {
  readonly oldest: number;
  readonly newest: number;
}

/** Those of this program. `oldest` is at least the one before `newest`, so that an upgrade can be rolled out. */
export const formats: Formats = { oldest: 1, newest: 1 };

/** Whether a build knows a format. */
export function knows({ oldest, newest }: Formats, format: number | undefined): boolean {
  return format !== undefined && format >= oldest && format <= newest;
}

/** The formats in words, for messages. */
export function inWords({ oldest, newest }: Formats): string {
  return oldest === newest ? `${newest}` : `${oldest} to ${newest}`;
}
