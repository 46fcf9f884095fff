// Rows of a barrier table as tools read and show them; the columns are the same in every database.

/** A row of the barrier as people look at it; `reason` is the op whose delivery inserted it. */
export interface ShownRow {
  readonly branchId: string;
  readonly op: string;
  readonly barrierId: string;
  readonly reason: string;
  readonly createdAt: string;
}

/** What is selected. */
export const columns = "branch_id, op, barrier_id, reason, create_time";

/** A row as it is read. */
export interface StoredRow {
  readonly branch_id: string;
  readonly op: string;
  readonly barrier_id: string;
  readonly reason: string;
  readonly create_time: string | null;
}

/** A row as it is told. */
export function shown({ branch_id, op, barrier_id, reason, create_time }: StoredRow): ShownRow {
  return { branchId: branch_id, op, barrierId: barrier_id, reason, createdAt: create_time ?? "" };
}
