/**
 * `branch_headers` and the `headers` of single branches: what a submitter may have sent along with calls. Refused is
 * what would change the framing or the routing of a request, or what the coordinator says itself.
 */
import { textMapOf } from "./fields.js";
import { classOf, invalid } from "./invalid.js";
import { parseJson } from "./json.js";
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

type HeaderLimits = Pick<InputLimits, "headers" | "headerBytes">;

/**
 * Headers of one step or branch, as an object of texts or as its JSON text. The text is what clients send: DTM's own
 * server takes texts only in these places, and passes over those that it does not know. @throws InvalidInput
 */
export function readOwnHeaders(
  sent: unknown,
  field: string,
  limits: InputLimits,
): Readonly<Record<string, string>> | undefined {
  if (sent === undefined || sent === null || sent === "") return undefined;
  const map = typeof sent === "string" ? parseJson(Buffer.from(sent, "utf8"), limits, field) : sent;
  if (typeof map !== "object" || map === null || Array.isArray(map))
    throw invalid(field, classOf(map), "object of texts");
  return readHeaders(textMapOf(map, field), limits, field);
}

/** The headers if all may be sent, `undefined` when there are none. @throws InvalidInput */
export function readHeaders(
  headers: Readonly<Record<string, string>> | undefined,
  limits: HeaderLimits,
  field = "branch_headers",
): Readonly<Record<string, string>> | undefined {
  const names = Object.keys(headers ?? {});
  if (headers === undefined || names.length === 0) return undefined;
  if (names.length > limits.headers) throw invalid(field, `${names.length} headers`, `at most ${limits.headers}`);
  let bytes = 0;
  for (const name of names) {
    if (!token.test(name)) throw invalid(field, "a name that is no HTTP token", "letters, digits and -_.");
    const lower = name.toLowerCase();
    if (reserved.has(lower) || lower.startsWith("grpc-"))
      throw invalid(field, `'${lower}'`, "a header that the connection or the coordinator does not own");
    if (!value.test(headers[name]!))
      throw invalid(`${field} '${lower}'`, "a control or non-ASCII character", "visible ASCII");
    bytes += name.length + headers[name]!.length;
  }
  if (bytes > limits.headerBytes) throw invalid(field, `${bytes} bytes`, `at most ${limits.headerBytes} bytes`);
  return { ...headers };
}
