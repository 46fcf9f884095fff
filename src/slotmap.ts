/**
 * A map for what comes and goes thousands of times a second. The platform's Map leaves each table that it outgrows
 * pointing to the next one: once one of them has become old, all that was in any later one outlives every short
 * garbage collection, though nobody can reach it. Here the tables have only numbers of slots in them, and a slot that
 * is given back forgets its value.
 */

/** Values by key, in the order in which the keys came. */
export class SlotMap<K extends string | number, V> {
  readonly #slots = new Map<K, number>();
  readonly #values: (V | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#slots.size;
  }

  has(key: K): boolean {
    return this.#slots.has(key);
  }

  get(key: K): V | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#values[slot];
  }

  set(key: K, value: V): void {
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      slot = this.#free.pop() ?? this.#values.length;
      this.#slots.set(key, slot);
    }
    this.#values[slot] = value;
  }

  /** Removes a key; the value that it had. */
  take(key: K): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    this.#slots.delete(key);
    const value = this.#values[slot];
    this.#values[slot] = undefined;
    this.#free.push(slot);
    return value;
  }

  clear(): void {
    this.#slots.clear();
    this.#values.length = 0;
    this.#free.length = 0;
  }

  /** As with a Map, what is removed meanwhile is left out, and what is added comes last. */
  *entries(): Generator<readonly [K, V]> {
    for (const [key, slot] of this.#slots) yield [key, this.#values[slot] as V];
  }

  *values(): Generator<V> {
    for (const slot of this.#slots.values()) yield this.#values[slot] as V;
  }
}

/** Values without keys of their own: each gets a number, by which it is taken out again. */
export class Numbered<V> extends SlotMap<number, V> {
  #nextId = 0;

  add(value: V): number {
    this.set(this.#nextId, value);
    return this.#nextId++;
  }
}
