// What the client tells of its work to whoever traces it. `tandem/opentelemetry` is one who does; without any nothing
// is told.

/** A piece of work: a transaction of an initiator, a call of a participant, a step of a workflow. */
export interface Activity {
  /** Few different ones: `saga`, `tcc`, `try`, `workflow transfer`, `action debit`. */
  readonly name: string;
  readonly gid: string;
  readonly branchId?: string;
  readonly op?: string;
  /** Set for calls of participants. */
  readonly url?: string;
}

/** Follows the client's work. */
export interface Telemetry {
  /** Runs `work` as a part of whatever runs now; resolves and rejects as it does. */
  during<T>(activity: Activity, work: () => Promise<T>): Promise<T>;
  /** Headers that tell whoever is called what it is a part of. The coordinator passes them on with every call. */
  headers(): Readonly<Record<string, string>>;
}

/** Nobody is told. */
export const untold: Telemetry = { during: (_activity, work) => work(), headers: () => ({}) };
