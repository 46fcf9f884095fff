/**
 * An answer as bytes of HTTP/1.1, headers as `node:http` and fastify send them.
 */
import { STATUS_CODES } from "node:http";
import type { Clock } from "../../../ports/clock.js";
import { type HttpAnswer, jsonType } from "../answer.js";

/** A whole answer in one text. */
export interface AnswerText {
  readonly text: string;
  readonly encoding: "latin1" | "utf8";
}

/** Writes heads; knows what time it is, to the second. */
export class Answers {
  readonly #clock: Clock;
  readonly #keepAlive: string;
  #second = 0;
  #date = "";

  /** `keepAliveMs`: how long a connection may be idle, as clients are told. */
  constructor(clock: Clock, keepAliveMs: number) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`;
  }

  /** @throws Error for a header that would not stay one line. */
  text({ status, type = jsonType, headers, body }: HttpAnswer, close: boolean): AnswerText {
    const bytes = Buffer.byteLength(body);
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: ${type}\r\n`;
    if (headers !== undefined) text += lines(headers);
    text += `content-length: ${bytes}\r\nDate: ${this.#now()}\r\n`;
    text += close ? "Connection: close\r\n\r\n" : this.#keepAlive;
    return { text: text + body, encoding: bytes === body.length ? "latin1" : "utf8" };
  }

  #now(): string {
    const second = Math.floor(this.#clock.nowMs() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#date = new Date(second * 1000).toUTCString();
    }
    return this.#date;
  }
}

function lines(headers: Readonly<Record<string, string>>): string {
  let text = "";
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\t -~]*$/.test(value)) throw new Error(`header ${name}: bytes met that it cannot carry`);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}
