// One delivery of one branch op: its identity and the counter that numbers the barrier calls made while it is handled.
// The counter must start anew with every delivery. A counter that outlives a delivery would give a repeated delivery
// new numbers, and so let it run again.

import { invalidInput } from "../errors.js";
import { type BranchIdentity, type BranchSource, carriesIds, type RequestLike, readIdentity } from "../identity.js";
import { barrierIdText } from "./core.js";

/** The branch of one delivery with its count of barrier calls. Make one per delivery, never keep it. */
export class Delivery {
  readonly branch: BranchIdentity;
  readonly #used = new Set<string>();
  #calls = 0;
  #isAnswered = false;

  constructor(branch: BranchIdentity) {
    this.branch = branch;
  }

  /**
   * Barrier id for the next call: the count of calls so far, or `id` where calls are conditional and must keep their
   * number.
   * A number can be taken once.
   */
  nextBarrierId(id?: number): string {
    const { gid, branchId } = this.branch;
    if (this.#isAnswered) {
      throw invalidInput(`the delivery of ${gid}/${branchId} was answered before, no barrier can help it now`, {
        ...{ gid, branchId },
        hint: "finish the work before the handler returns, and take the delivery anew from each request",
      });
    }
    const number = id ?? ++this.#calls;
    const text = barrierIdText(number);
    if (!Number.isSafeInteger(number) || number < 1 || this.#used.has(text)) {
      throw invalidInput(`barrier id ${number} cannot be used (again) in this delivery`, {
        gid,
        branchId,
        hint: "give every barrier call of a handler its own id from 1, or give none to any",
      });
    }
    this.#used.add(text);
    return text;
  }

  /** The caller has its answer: whatever still refers to this delivery must not run under its barrier ids. */
  end(): void {
    this.#isAnswered = true;
  }
}

/** A request keeps its delivery here, so that several guards that are handed the same request share one count. */
const deliveryOf: unique symbol = Symbol.for("tandem.delivery") as never;

interface Marked {
  [deliveryOf]?: Delivery;
}

/**
 * The delivery that a source stands for. A web request gives the same delivery every time it is asked; any other source
 * (URL, parameters, metadata, plain ids) gives a new one, whose count starts at 1.
 */
export function barrierFrom(source: BranchSource | Delivery): Delivery {
  if (source instanceof Delivery) return source;
  if (!isRequest(source)) return new Delivery(readIdentity(source));
  const known = (source as Marked)[deliveryOf];
  if (known !== undefined) return known;
  const delivery = new Delivery(readIdentity(source));
  if (Object.isExtensible(source)) Object.defineProperty(source, deliveryOf, { value: delivery });
  return delivery;
}

function isRequest(source: BranchSource): source is RequestLike {
  if (typeof source !== "object" || source === null) return false;
  const fields = source as Readonly<Record<string, unknown>>;
  return typeof fields.url === "string" && !carriesIds(fields);
}
