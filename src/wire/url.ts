/**
 * URLs of participants, as far as their text alone can be judged; whether a caller can take one is asked of the
 * callers.
 */
import { hasUnprintable } from "./identifier.js";
import { invalid } from "./invalid.js";
import type { InputLimits } from "./limits.js";

const encodedControl = /%0[0ad]/i;

/** Checks a URL's text. Empty is allowed: there is nothing to call (S-BR-1). @throws InvalidInput */
export function checkUrlText(field: string, url: string, limits: Pick<InputLimits, "urlCharacters">): void {
  if (url.length > limits.urlCharacters)
    throw invalid(field, `URL of ${url.length} characters`, `at most ${limits.urlCharacters}`);
  if (hasUnprintable(url) || (url.includes("%") && encodedControl.test(url)))
    throw invalid(field, "URL with a control character (also as %0D, %0A, %00)", "URL without");
  if (url.includes("@") && hasUserInfo(url)) throw invalid(field, "URL with user or password", "URL without");
}

function hasUserInfo(url: string): boolean {
  if (!url.includes("://")) return url.slice(0, firstOf(url, /[/?#]/)).includes("@");
  try {
    const { username, password } = new URL(url);
    return username !== "" || password !== "";
  } catch {
    return true; // no parser takes it; the words about user and password are as good as any
  }
}

function firstOf(text: string, pattern: RegExp): number {
  const at = text.search(pattern);
  return at < 0 ? text.length : at;
}

/** A name or address as it stands in a URL, IPv6 addresses in brackets. */
export function urlHost(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
