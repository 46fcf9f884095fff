/**
 * `branch_headers`: what a submitter may have sent along with every call. Refused is what would change the framing or
 * the routing of a request, or what the coordinator says itself.
 */
import { invalid } from "./invalid.js";
import type { InputLimits } from "./limits.js";

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const value = /^[\t\x20-\x7e]*$/;

/** Of the connection, or said by the coordinator. */
const reserved: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "proxy-connection",
  "upgrade",
  "te",
  "trailer",
  "expect",
  "http2-settings",
  "content-encoding",
  "dtm-gid",
  "dtm-trans_type",
  "dtm-branch_id",
  "dtm-op",
  "dtm-dtm",
]);

/** The headers if all may be sent, `undefined` when there are none. @throws InvalidInput */
export function readHeaders(
  headers: Readonly<Record<string, string>> | undefined,
  limits: Pick<InputLimits, "headers" | "headerBytes">,
): Readonly<Record<string, string>> | undefined {
  const names = Object.keys(headers ?? {});
  if (headers === undefined || names.length === 0) return undefined;
  if (names.length > limits.headers)
    throw invalid("branch_headers", `${names.length} headers`, `at most ${limits.headers}`);
  let bytes = 0;
  for (const name of names) {
    if (!token.test(name)) throw invalid("branch_headers", "a name that is no HTTP token", "letters, digits and -_.");
    const lower = name.toLowerCase();
    if (reserved.has(lower) || lower.startsWith("grpc-"))
      throw invalid("branch_headers", `'${lower}'`, "a header that the connection or the coordinator does not own");
    if (!value.test(headers[name]!))
      throw invalid(`branch_headers '${lower}'`, "a control or non-ASCII character", "visible ASCII");
    bytes += name.length + headers[name]!.length;
  }
  if (bytes > limits.headerBytes)
    throw invalid("branch_headers", `${bytes} bytes`, `at most ${limits.headerBytes} bytes`);
  return { ...headers };
}
