/**
 * How much of anything one request may hold (reliability 11). The defaults are what clients can rely on; a node may be
 * configured otherwise.
 */

/** Largest values of options (D25), seconds but for the count `retryLimit`. */
export interface OptionMaxima {
  readonly requestTimeoutS: number;
  readonly retryIntervalS: number;
  readonly timeoutToFailS: number;
  readonly delayS: number;
  readonly retryLimit: number;
}

/** Sizes past which a request is refused, before anything is stored. */
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
  readonly options: OptionMaxima;
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
  options: {
    requestTimeoutS: 3600,
    retryIntervalS: 7 * 86_400,
    timeoutToFailS: 365 * 86_400,
    delayS: 30 * 86_400,
    retryLimit: 10_000,
  },
};

/** Longest lease of a workflow's executor, seconds. */
export const leaseMaxS = 3600;
