// XA, the participant's side: one URL for both phases. In phase one the branch registers itself, does its work and
// prepares, all in one database session; phase two commits or rolls back what was prepared. What differs between
// databases is an XaDatabase.

import { type Api, accepted } from "../api.js";
import type { BarrierRow, BarrierRows } from "../barrier/core.js";
import type { Delivery } from "../barrier/delivery.js";
import { BarrierError, Failure, InvalidBranch, invalidInput, Ongoing } from "../errors.js";
import type { StepFields } from "../global.js";
import { type Route, route } from "../participant/route.js";

/** A database session of one branch, from start to prepare. It is never used for anything else afterwards. */
export interface XaSession<Tx> {
  readonly tx: Tx;
  /** The barrier's rows; waits for another delivery of the branch for a short time, then rejects with `Ongoing`. */
  readonly rows: Pick<BarrierRows, "insertIgnore">;
  /** Ends the branch's work and makes it durable, to be committed from any session. */
  prepare(): Promise<void>;
  /** Undoes the work of a branch that is not prepared. */
  rollback(): Promise<void>;
  /** Gives the session up; called in every case. */
  end(): Promise<void>;
}

/** What a database does for XA. `xid` holds letters, digits and `_ . : -` only. */
export interface XaDatabase<Tx> {
  /** Bytes an xid may have. */
  readonly xidBytesMax: number;
  begin(xid: string): Promise<XaSession<Tx>>;
  /**
   * Resolves to false if the database does not know the xid (any more). True is the database's word; what became of the
   * branch its guard row tells.
   */
  finish(xid: string, op: "commit" | "rollback"): Promise<boolean>;
  /** Insert-ignores the row in a transaction of its own; resolves to the reason that is committed afterwards. */
  take(row: BarrierRow): Promise<string | undefined>;
  /** Reason of a committed row; may reject with `Ongoing` while a session or a prepared branch holds it. */
  reason(row: BarrierRow): Promise<string | undefined>;
  /**
   * For a database that may forget a prepared branch and go on holding its rows: rolls such a branch back. Resolves to
   * false if a session has the xid, or it is prepared as it should be.
   */
  undoLost?(xid: string): Promise<boolean>;
  /** Xids of all branches that are prepared in this database, those of other programs among them. */
  prepared(): Promise<readonly string[]>;
}

/**
 * A route for an XA branch at `path`. `work` runs in phase one, inside the branch; its value goes to the initiator.
 * An error undoes the branch; throw `Failure` for a refusal. Phase two is answered by the route itself, and called with
 * the headers and the timeout that the initiator's reference names.
 */
export function xaRoute<Tx>(
  path: string,
  of: { readonly database: XaDatabase<Tx>; readonly client: { readonly api: Api } },
  work: (tx: Tx, payload: unknown, delivery: Delivery) => Promise<unknown>,
): Route {
  return route(path, async (delivery, payload, { header }) => {
    const { op } = delivery.branch;
    if (op === "action") {
      const registered = {
        headers: header?.("tandem-branch-headers"),
        request_timeout: header?.("tandem-branch-timeout"),
      };
      return actionPhase(of.database, of.client.api, delivery, registered, (tx) => work(tx, payload, delivery));
    }
    if (op === "commit") return commitPhase(of.database, delivery);
    if (op === "rollback") return rollbackPhase(of.database, delivery);
    throw new InvalidBranch(`this is the address of an XA branch, not of ${op}`);
  });
}

async function actionPhase<Tx>(
  database: XaDatabase<Tx>,
  api: Api,
  delivery: Delivery,
  registered: StepFields,
  work: (tx: Tx) => Promise<unknown>,
): Promise<unknown> {
  const { gid, branchId, phase2Url } = delivery.branch;
  if (phase2Url === undefined) throw new InvalidBranch("the delivery carries no phase2_url", { gid, branchId });
  const session = await database.begin(xidOf(delivery, database.xidBytesMax));
  try {
    const value = await guarded(session, delivery, async () => {
      const done = await work(session.tx);
      // Before prepare: a prepared branch that nobody knows of would hold its locks for ever.
      const body = { gid, trans_type: "xa", branch_id: branchId, url: phase2Url, ...registered };
      await accepted(api, "registerBranch", body);
      return done;
    });
    await session.prepare();
    return value;
  } finally {
    await session.end();
  }
}

async function guarded<Tx, T>(session: XaSession<Tx>, delivery: Delivery, work: () => Promise<T>): Promise<T> {
  const { gid, branchId } = delivery.branch;
  try {
    if (await session.rows.insertIgnore(rowOf(delivery, "action"))) return await work();
    throw new Failure("this branch ran before, or was rolled back before it started", { gid, branchId });
  } catch (error) {
    await session.rollback().catch(() => undefined);
    throw error;
  }
}

/**
 * A success only if the guard row says so: it commits with the branch. Neither is an unknown xid proof of a branch that
 * is lost, nor the database's yes of one that was committed (MariaDB says it of one whose session is just ending).
 */
async function commitPhase<Tx>(database: XaDatabase<Tx>, delivery: Delivery): Promise<void> {
  const { gid, branchId } = delivery.branch;
  await database.finish(xidOf(delivery, database.xidBytesMax), "commit");
  if ((await database.reason(rowOf(delivery, "action"))) === "action") return;
  throw new BarrierError(`the prepared branch ${gid}-${branchId} is lost: it was never committed and is not there`, {
    gid,
    branchId,
    hint: "was it rolled back by hand, or the database restored from a backup?",
  });
}

/** The row is taken afterwards: while the branch is still open it holds the row, and the rollback is asked again. */
async function rollbackPhase<Tx>(database: XaDatabase<Tx>, delivery: Delivery): Promise<void> {
  const { gid, branchId } = delivery.branch;
  const xid = xidOf(delivery, database.xidBytesMax);
  const take = () => database.take(rowOf(delivery, "rollback"));
  await database.finish(xid, "rollback");
  const reason = await take().catch(async (error: unknown) => {
    if (error instanceof Ongoing && (await database.undoLost?.(xid))) return take();
    throw error;
  });
  if (reason === "rollback") return;
  throw new BarrierError(`branch ${gid}-${branchId} was committed and cannot be rolled back`, { gid, branchId });
}

function rowOf({ branch }: Delivery, reason: string): BarrierRow {
  const { gid, branchId } = branch;
  return { transType: "xa", gid, branchId, op: "action", barrierId: "01", reason };
}

/** No statement of XA takes parameters, so the characters are checked here, for both databases alike. */
function xidOf({ branch }: Delivery, bytesMax: number): string {
  const { gid, branchId } = branch;
  const xid = `${gid}-${branchId}`;
  if (xid.length <= bytesMax && /^[A-Za-z0-9_.:-]+$/.test(xid)) return xid;
  throw invalidInput(`${JSON.stringify(xid)} cannot be an xid`, {
    gid,
    branchId,
    hint: `gid and branch of an XA transaction have letters, digits and _ . : - only, together at most ${bytesMax}`,
  });
}
