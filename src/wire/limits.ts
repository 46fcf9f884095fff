/**
 * How much of anything one request may hold (reliability 11). The defaults are what clients can rely on; a node may be
 * configured otherwise.
 */

export interface InputLimits {
  readonly bodyBytes: number;
  readonly payloadBytes: number;
  readonly branches: number;
  readonly urlCharacters: number;
  readonly headers: number;
  /** Names and values together. */
  readonly headerBytes: number;
  readonly jsonDepth: number;
  /** Members and array elements of one body together. */
  readonly jsonValues: number;
  readonly customDataBytes: number;
}

/** The limits of a server that is told nothing else (reliability 11). */
export const inputLimits: InputLimits = {
  bodyBytes: 4 * 1024 * 1024,
  payloadBytes: 1024 * 1024,
  branches: 1000,
  urlCharacters: 1024,
  headers: 64,
  headerBytes: 16 * 1024,
  jsonDepth: 64,
  jsonValues: 20_000,
  customDataBytes: 64 * 1024,
};

/** Seconds and counts that options may have (D25); 0 stands for "not given" everywhere. */
export const ranges = {
  requestTimeoutS: { min: 1, max: 3600 },
  retryIntervalS: { min: 1, max: 7 * 86_400 },
  timeoutToFailS: { min: 1, max: 365 * 86_400 },
  retryLimit: { min: 1, max: 10_000 },
  delayS: { min: 0, max: 30 * 86_400 },
  leaseS: { min: 1, max: 3600 },
} as const;
