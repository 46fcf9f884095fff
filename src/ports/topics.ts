/**
 * Key-values with versions: topics and their subscribers (S-HTTP-70). Read from the store by whoever needs them, so a
 * change that was acknowledged is seen by every submit that begins after it.
 */

/** One entry; `value` is JSON text that the store does not look into. */
export interface KeyValue {
  readonly category: string;
  readonly key: string;
  readonly value: string;
  /** 1 at creation, one more with every change. A key that was deleted begins at 1 again. */
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** Category of topics. */
export const topicCategory = "topics";

/** Small values that operators change now and then; every change is compare-and-set on the version. */
export interface KeyValues {
  get(category: string, key: string): Promise<KeyValue | undefined>;
  /**
   * Writes the value durably if the stored version is still `expected` (0 = there is no such key) and resolves to
   * whether it did. @throws StoreUnavailable
   */
  put(category: string, key: string, value: string, expected: number, nowMs: number): Promise<boolean>;
  /** Removes the key durably; `false` when there was none. */
  remove(category: string, key: string): Promise<boolean>;
  /** Entries in order of (category, key), after the given key (opaque cursor of the last entry); category "" = all. */
  scan(
    category: string,
    after: string | undefined,
    limit: number,
  ): Promise<{ readonly entries: readonly KeyValue[]; readonly next: string | undefined }>;
}
