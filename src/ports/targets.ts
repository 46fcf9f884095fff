/**
 * The participants as the engine sees them, for operators.
 */
export interface TargetState {
  readonly origin: string;
  /** Origin and path, without query. */
  readonly target: string;
  /** Calls on the wire. */
  readonly inFlight: number;
  /** Calls held back: by the breaker, or because there is no place. */
  readonly waiting: number;
  readonly breaker: "closed" | "open" | "probing";
  /** When the next probe may go, milliseconds since the epoch. */
  readonly openUntilMs: number | undefined;
  readonly unknownsInRow: number;
  readonly lastError: string;
}

/** A bounded table: targets that nobody called for long are forgotten. */
export interface Targets {
  list(): readonly TargetState[] | Promise<readonly TargetState[]>;
}

/** Figures of the engine at this moment, for metrics and pages. */
export interface EngineStats {
  /** Actors in memory. */
  readonly resident: number;
  /** Bytes of clients that they hold. */
  readonly residentBytes: number;
  /** Transitions waiting for a flush. */
  readonly commitsQueued: number;
  /** Calls on the wire, and calls held back. */
  readonly callsInFlight: number;
  readonly callsWaiting: number;
  /** Wake times in memory. */
  readonly timers: number;
  /** Refuses new transactions now. */
  readonly overloaded: boolean;
  /** So far beyond its limits that it refuses queries and lists, too. */
  readonly swamped: boolean;
  /** Milliseconds since the store last took a write, while it takes none. */
  readonly storeUnavailableMs: number | undefined;
  /** Transactions still to be looked at after a start or take-over. */
  readonly recovering: boolean;
}
