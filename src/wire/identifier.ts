/**
 * Names that clients choose: gids, branch ids, topics. Kept byte for byte (D11); only what no terminal, log or wire can
 * carry is refused.
 */
import { classOf, invalid } from "./invalid.js";

const unprintable = /[\p{Cc}\p{Cs}]/u;
const charactersMax = 128;

/** Whether the text has control characters (NUL, CR, LF …) or lone surrogates. */
export function hasUnprintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) return unprintable.test(text); // plain ASCII needs no pattern
  }
  return false;
}

/** A gid as it will be stored. @throws InvalidInput */
export function readGid(gid: string): string {
  return readName("gid", gid);
}

/** Text of 1 to 128 characters, none of them a control character or a lone surrogate. @throws InvalidInput */
export function readName(field: string, name: string): string {
  const needed = `text of 1 to ${charactersMax} characters without control characters`;
  if (name === "") throw invalid(field, classOf(name), needed);
  if (name.length > charactersMax && [...name].length > charactersMax)
    throw invalid(field, `text of more than ${charactersMax} characters`, needed);
  if (hasUnprintable(name)) throw invalid(field, "control character or lone surrogate", needed);
  return name;
}

/** Text without lone surrogates, as UTF-8 would keep it. */
export function wellFormed(text: string): string {
  return /\p{Cs}/u.test(text) ? Buffer.from(text, "utf8").toString("utf8") : text;
}
