/**
 * Memory for requests on their way in and being answered, of all protocols together: without a common limit many
 * clients could fill it with large bodies, or with halves of them.
 */
export class Arriving {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Changes what is held by so many bytes; false when that is too much for all. */
  change(bytes: number): boolean {
    this.#bytes += bytes;
    return bytes <= 0 || this.#bytes <= this.#bytesMax;
  }
}

/** What a client is told whose request is one too many; nothing was done. */
export const tooManyArriving = "too many requests, or bytes of them, are in memory at this moment, ask again";
