/**
 * What gRPC adds to HTTP/2, for gateway, callers and client alike: length-prefixed messages, texts in headers,
 * deadlines.
 */

/** A message with its five bytes of prefix, not compressed. */
export function frameOf(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** A message as it came; `compressed` by whatever `grpc-encoding` says. */
export interface FramedMessage {
  readonly compressed: boolean;
  readonly bytes: Buffer;
}

/** Takes the bytes of a stream apart into messages. */
export class Deframer {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of a message that has begun; at the stream's end there must be none. */
  get pendingBytes(): number {
    return this.#held;
  }

  /**
   * The messages that are complete now, in order; or what is wrong: a message longer than allowed (told by its prefix,
   * before it is buffered), or a prefix that is none.
   */
  feed(chunk: Buffer): readonly FramedMessage[] | "tooLarge" | "malformed" {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const messages: FramedMessage[] = [];
    while (this.#held >= 5) {
      const bytes = this.#joined(5);
      const flag = bytes[0] as number;
      const length = bytes.readUInt32BE(1);
      if (flag > 1) return "malformed";
      if (length > this.#bytesMax) return "tooLarge";
      if (this.#held < 5 + length) break;
      const whole = this.#joined(5 + length);
      messages.push({ compressed: flag === 1, bytes: whole.subarray(5, 5 + length) });
      const rest = whole.subarray(5 + length);
      this.#chunks = [rest, ...this.#chunks.slice(1)];
      this.#held -= 5 + length;
    }
    return messages;
  }

  /** The first chunk, made at least so long. */
  #joined(length: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= length) return first;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

/** A text as `grpc-message` carries it: printable ASCII, all else and `%` percent-encoded as UTF-8. */
export function encodeMessage(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  return text
    .replace(/\p{Surrogate}/gu, "\ufffd")
    .replace(/[^\x20-\x24\x26-\x7e]/gu, (character) =>
      [...Buffer.from(character, "utf8")]
        .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
        .join(""),
    );
}

/** The text of a `grpc-message`; what is not rightly encoded stays as it is. */
export function decodeMessage(value: string): string {
  if (!value.includes("%")) return value;
  const bytes = value.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** Milliseconds as `grpc-timeout`: eight digits at most, so long ones are in seconds. */
export function encodeTimeout(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 100_000_000 ? `${whole}m` : `${Math.ceil(whole / 1000)}S`;
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

/** Milliseconds of a `grpc-timeout`, `undefined` for what is none. */
export function decodeTimeout(value: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  return match === null ? undefined : Number(match[1]) * (unitMs[match[2] as string] as number);
}
