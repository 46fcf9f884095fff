/**
 * Circuit breaker of one target (D30): opens after enough calls in a row without a clear word, from enough different
 * transactions; then lets one probe through, later and later; closes at the first clear answer, and lets calls through
 * in growing numbers from there, so that what has piled up does not fall on a participant all at once.
 * Pure but for its own counters: time is given. A library's breaker keeps its own clock, which a simulation cannot
 * drive.
 */
/** When a breaker opens and how patiently it probes; for tests, operators get the defaults. */
export interface BreakerSettings {
  /** `unknown` answers in a row that open it. */
  readonly opensAfter: number;
  /** Different transactions among them. */
  readonly transactionsMin: number;
  readonly firstProbeMs: number;
  readonly longestProbeMs: number;
}

/** D30. */
export const breakerDefaults: BreakerSettings = {
  opensAfter: 10,
  transactionsMin: 3,
  firstProbeMs: 1000,
  longestProbeMs: 30_000,
};

export class Breaker {
  readonly #settings: BreakerSettings;
  readonly #recent = new Set<string>();
  #unknowns = 0;
  #openUntilMs: number | undefined;
  #probeWaitMs = 0;
  #probing = false;
  #allowed = Number.POSITIVE_INFINITY;

  constructor(settings: BreakerSettings = breakerDefaults) {
    this.#settings = settings;
  }

  get state(): "closed" | "open" | "probing" {
    if (this.#openUntilMs === undefined) return "closed";
    return this.#probing ? "probing" : "open";
  }

  /** When the next probe may go; `undefined` while closed. */
  get openUntilMs(): number | undefined {
    return this.#openUntilMs;
  }

  get unknownsInRow(): number {
    return this.#unknowns;
  }

  /** Whether a call may go now, with `inFlight` calls to the target on the wire. */
  admits(nowMs: number, inFlight: number): boolean {
    if (this.#openUntilMs === undefined) return inFlight < this.#allowed;
    return !this.#probing && nowMs >= this.#openUntilMs;
  }

  /** Says that an admitted call went on the wire; `true`: it is the probe, and `answered` must be told so. */
  sent(): boolean {
    if (this.#openUntilMs !== undefined) this.#probing = true;
    return this.#probing;
  }

  /**
   * Takes an answer: a clear one, or silence. `true` when the breaker opened or closed by it. Only the probe's own
   * silence makes the next one later: what was on the wire when the breaker opened may still end without a clear word
   * while the probe is away.
   */
  answered(isClear: boolean, gid: string, nowMs: number, probe = false): boolean {
    if (isClear) return this.#clear();
    this.#unknowns++;
    if (this.#recent.size < this.#settings.transactionsMin) this.#recent.add(gid);
    if (this.#openUntilMs !== undefined) {
      if (probe) this.#reopen(nowMs);
      return false;
    }
    if (this.#unknowns < this.#settings.opensAfter || this.#recent.size < this.#settings.transactionsMin) return false;
    this.#probeWaitMs = this.#settings.firstProbeMs;
    this.#openUntilMs = nowMs + this.#probeWaitMs;
    return true;
  }

  #clear(): boolean {
    const closed = this.#openUntilMs !== undefined;
    this.#unknowns = 0;
    if (this.#recent.size > 0) this.#recent.clear(); // it makes a new table each time
    this.#openUntilMs = undefined;
    this.#probing = false;
    if (closed) this.#allowed = 4;
    else if (this.#allowed < 65_536) this.#allowed++;
    else this.#allowed = Number.POSITIVE_INFINITY;
    return closed;
  }

  #reopen(nowMs: number): void {
    this.#probing = false;
    this.#probeWaitMs = Math.min(this.#probeWaitMs * 2, this.#settings.longestProbeMs);
    this.#openUntilMs = nowMs + this.#probeWaitMs;
  }
}
