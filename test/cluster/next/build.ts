/**
 * A build of the program that knows one format more, for tests of upgrades: rows and messages of the next format are
 * those of this one, deflated. It is given to the composition root (`startAnyNode`), the one place where a build says
 * what it knows; no configuration of the product leads here.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { type MessageForms, messageForms } from "../../../cluster/codec.js";
import type { Build } from "../../../cluster/node.js";
import { formats } from "../../../src/ports/format.js";
import { type RowFormats, rowFormats } from "../../../src/store/codec.js";

/** The format that only the next build knows. */
export const nextFormat = formats.newest + 1;

function wrap(plain: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([nextFormat]), deflateRawSync(plain)]);
}

const rows: RowFormats = {
  oldest: formats.newest,
  newest: nextFormat,
  encode: (row, format) =>
    format === nextFormat ? wrap(rowFormats.encode(row, formats.newest)) : rowFormats.encode(row, format),
  decode: (stored) => rowFormats.decode(stored[0] === nextFormat ? inflateRawSync(stored.subarray(1)) : stored),
};

const messages: MessageForms = {
  encode: (message, format) =>
    format === nextFormat ? wrap(messageForms.encode(message, formats.newest)) : messageForms.encode(message, format),
  decode(bytes) {
    if (bytes[0] !== nextFormat) return messageForms.decode(bytes);
    try {
      return messageForms.decode(inflateRawSync(bytes.subarray(1)));
    } catch (cause) {
      return { kind: "unreadable", why: String(cause) };
    }
  },
};

/** See the file's head. */
export const nextBuild: Build = { rows, messages };
