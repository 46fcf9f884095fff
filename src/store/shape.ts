/**
 * How values become positions of an array and back: the grammar of the stored format. A record's fields stand in the
 * order in which its shape names them, so new fields are only ever appended: rows that lack them read as `undefined`,
 * positions that a later program appended are passed over.
 */

/** Two-way translation between a value and what msgpack stores for it. */
export interface Shape<T> {
  write(value: T): unknown;
  /** Trusts the bytes as far as their format version promises; a wrong structure throws. */
  read(stored: unknown): T;
}

/** A value that msgpack knows; `undefined` is stored as nil. */
export function plain<T>(): Shape<T> {
  return { write: (value) => value ?? null, read: (stored) => (stored ?? undefined) as T };
}

/** Bytes; a copy when read, so that a small payload does not keep a large network packet in memory. */
export const bytes: Shape<Uint8Array> = {
  write: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength),
  read: (stored) => {
    if (!(stored instanceof Uint8Array)) throw new TypeError(`bytes needed, ${typeof stored} met`);
    return new Uint8Array(stored);
  },
};

/** Object of strings, as pairs in a row: no key is special, not even `__proto__`. */
export const texts: Shape<Readonly<Record<string, string>>> = {
  write: (value) => Object.entries(value).flat(),
  read: (stored) => {
    const flat = arrayOf(stored);
    const pairs: [string, string][] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([String(flat[i]), String(flat[i + 1])]);
    return Object.fromEntries(pairs);
  },
};

/** Values of one shape, in order. */
export function list<T>(shape: Shape<T>): Shape<readonly T[]> {
  return {
    write: (values) => values.map((value) => shape.write(value)),
    read: (stored) => arrayOf(stored).map((value) => shape.read(value)),
  };
}

/** `undefined` or a value of the shape. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return {
    write: (value) => (value === undefined ? null : shape.write(value)),
    read: (stored) => (stored === null || stored === undefined ? undefined : shape.read(stored)),
  };
}

/** Shape of an object: an array, which a caller may put values in front of. */
export interface RecordShape<T> extends Shape<T> {
  write(value: T): readonly unknown[];
}

/** One shape per field; the compiler asks for every field, the order of naming is the order of storing. */
export type Fields<T> = { readonly [K in keyof T]-?: Shape<T[K]> };

/** The same without what is absent at the end: a field that few values have costs the others nothing. */
export function sparing<T>(shape: RecordShape<T>): Shape<T> {
  return {
    write: (value) => {
      const values = shape.write(value);
      return values.slice(0, values.findLastIndex((one) => one !== null) + 1);
    },
    read: shape.read,
  };
}

/** An object as the array of its fields' values. */
export function record<T extends object>(fields: Fields<T>): RecordShape<T> {
  const names = Object.keys(fields) as (keyof T)[];
  const shapes = names.map((name) => fields[name] as Shape<unknown>);
  return {
    write: (value) => {
      const values: unknown[] = [];
      for (let i = 0; i < names.length; i++) values.push(shapes[i]!.write(value[names[i]!]));
      return values;
    },
    read: (stored) => {
      const values = arrayOf(stored);
      const result: Partial<T> = {};
      for (let i = 0; i < names.length; i++) result[names[i]!] = shapes[i]!.read(values[i]) as T[keyof T];
      return result as T;
    },
  };
}

function arrayOf(stored: unknown): readonly unknown[] {
  if (!Array.isArray(stored)) throw new TypeError(`array needed, ${typeof stored} met`);
  return stored;
}
