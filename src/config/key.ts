/**
 * What a configuration key is: its reader, its default and the words about it. The table of all keys is `keys.ts`;
 * files,
 * environment and flags all hand over text, so there is one reader per kind of value and one message for what is wrong.
 */

/** One key. `T` is what its text becomes. */
export interface Key<T> {
  /** Value of a text, or `undefined` when the text is none; the message then quotes `needs`. */
  read(text: string): T | undefined;
  /** What a value has to be, as the end of a sentence: "an integer from 1 to 3600". */
  readonly needs: string;
  readonly fallback: T;
  /** One sentence for people; docs/configuration.md carries the same words. */
  readonly about: string;
  /** Name of the flag of `tandem serve` that sets it. */
  readonly flag?: string;
  /** DTM knows the key: its plain environment name counts too (D15). */
  readonly dtm?: true;
  /** Never shown. */
  readonly secret?: true;
  /** Read for DTM's sake and without effect; the words say why, as a warning when the value is not the default. */
  readonly ignored?: string;
}

type Words = Omit<Key<unknown>, "read" | "needs" | "fallback">;

/** Whole number in a closed range. Only digits: `1e3` and `0x10` are refused rather than guessed at. */
export function integer(min: number, max: number, fallback: number, words: Words): Key<number> {
  const read = (text: string) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  };
  return { ...words, read, fallback, needs: `an integer from ${min} to ${max}` };
}

/** One of some words. */
export function word<const W extends string>(choices: readonly W[], fallback: NoInfer<W>, words: Words): Key<W> {
  const list = choices.length === 1 ? `'${choices[0]}'` : `one of ${choices.join(", ")}`;
  return { ...words, read: (text) => choices.find((w) => w === text), fallback, needs: list };
}

/** On or off: `true`, `1` or `false`, `0`. */
export function toggle(words: Words): Key<boolean> {
  const read = (text: string) => (/^(true|1)$/.test(text) ? true : /^(false|0)$/.test(text) ? false : undefined);
  return { ...words, read, fallback: false, needs: "true or false" };
}

/** Text of at most 1,024 characters without control characters; `test` narrows it further. */
export function text(fallback: string, words: Words, needs = "text", test: (t: string) => boolean = () => true) {
  const read = (t: string) => (t.length <= 1024 && !/[\0-\x1f\x7f]/.test(t) && (t === "" || test(t)) ? t : undefined);
  return { ...words, read, fallback, needs: `${needs}, at most 1024 characters` } satisfies Key<string>;
}

/** Absolute URLs of some schemes, joined by commas, or empty. */
export function urls(schemes: readonly string[], words: Words): Key<string> {
  const { read } = url(schemes, words);
  const named = schemes.map((s) => `${s}://…`).join(" or ");
  return text("", words, `a URL ${named}, or several with commas`, (t) =>
    t.split(",").every((part) => read(part.trim()) !== undefined && part.trim() !== ""),
  );
}

/** Absolute URL of one of some schemes, or empty. */
export function url(schemes: readonly string[], words: Words): Key<string> {
  const named = schemes.map((s) => `${s}://…`).join(" or ");
  return text(
    "",
    words,
    `a URL ${named}`,
    (t) => URL.canParse(t) && schemes.includes(new URL(t).protocol.slice(0, -1)),
  );
}
