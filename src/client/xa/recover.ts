// Branches that stayed prepared although their transaction is over: after a restored backup, a client without our
// guard, a coordinator that was replaced. They hold locks until somebody ends them. Nothing is guessed: only what the
// coordinator says is final is finished, everything else is told and left alone.

import type { Client } from "../client.js";
import { TandemError } from "../errors.js";
import type { GlobalState } from "../global.js";
import type { XaDatabase } from "./branch.js";

/** Settings of `recoverXa`. */
export interface XaRecoveryOptions {
  /** Only branches whose gid begins with this. Default: all that look like a branch of an XA transaction. */
  readonly prefix?: string;
  /** Tell only, change nothing. */
  readonly dryRun?: boolean;
}

/**
 * What became of a prepared branch. `committed`, `rolled-back`: finished now (`dryRun`: would be). `waiting`: its
 * transaction is not over, the coordinator will finish it. `unknown`: the coordinator does not know the gid: perhaps
 * it is another's, so a person has to decide.
 */
export type XaFate = "committed" | "rolled-back" | "waiting" | "unknown";

/** A branch that was found prepared. */
export interface PreparedBranch {
  readonly xid: string;
  readonly gid: string;
  readonly branchId: string;
  readonly fate: XaFate;
}

/**
 * Finds the branches that are prepared in a database, asks the coordinator for the end of each one's transaction, and
 * gives those that were forgotten the same end. Safe at any time, also while transactions are running. On MySQL 8 it
 * needs the right XA_RECOVER_ADMIN.
 */
export async function recoverXa(
  database: Pick<XaDatabase<unknown>, "prepared" | "finish">,
  client: Pick<Client, "query">,
  options: XaRecoveryOptions = {},
): Promise<readonly PreparedBranch[]> {
  const { prefix = "", dryRun = false } = options;
  const found: PreparedBranch[] = [];
  for (const xid of await listed(database)) {
    const branch = branchOf(xid);
    if (branch === undefined || !branch.gid.startsWith(prefix)) continue;
    const fate = fateOf(await client.query(branch.gid));
    if (!dryRun && fate === "committed") await database.finish(xid, "commit");
    if (!dryRun && fate === "rolled-back") await database.finish(xid, "rollback");
    found.push({ xid, ...branch, fate });
  }
  return found;
}

async function listed(database: Pick<XaDatabase<unknown>, "prepared">): Promise<readonly string[]> {
  try {
    return await database.prepared();
  } catch (cause) {
    throw new TandemError("DTX_BARRIER", "the prepared branches cannot be listed", {
      cause,
      hint: "MySQL 8 wants: grant XA_RECOVER_ADMIN on *.* to this user",
    });
  }
}

/** `gid-branchId`: a branch id has digits only, two for each level; xids of other programs rarely look like that. */
function branchOf(xid: string): { readonly gid: string; readonly branchId: string } | undefined {
  const [, gid, branchId] = /^([A-Za-z0-9_.:-]+)-((?:\d\d)+)$/.exec(xid) ?? [];
  return gid === undefined || branchId === undefined ? undefined : { gid, branchId };
}

function fateOf(state: GlobalState | undefined): XaFate {
  if (state === undefined) return "unknown";
  switch (state.status) {
    case "succeeded":
      return "committed";
    case "failed":
      return "rolled-back";
    case "pending":
      return "waiting";
  }
}
