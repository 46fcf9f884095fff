// A transaction taken again after the database ended it for the sake of others: a broken cycle of waiting is an
// everyday event there, and the same transaction succeeds a moment later.

/** Where a store refuses at once instead of waiting, it is the pauses that give others time to end. */
export interface LockRetry {
  /** Attempts in all. */
  readonly attemptsMax: number;
  /** Before the second attempt; doubles with each further one. */
  readonly firstPauseMs: number;
}

/**
 * Resolves to what `attempt` gives, and rejects with its last error. `mayRepeat` says of an error whether the attempt
 * left nothing behind and another one may succeed.
 */
export async function retryTransaction<T>(
  { attemptsMax, firstPauseMs }: LockRetry,
  attempt: () => Promise<T>,
  mayRepeat: (error: unknown) => boolean,
): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (count >= attemptsMax || !mayRepeat(error)) throw error;
      const pauseMs = firstPauseMs * 2 ** (count - 1);
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
