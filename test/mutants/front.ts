/**
 * Breaks of the front: what must not be taken for a request of its own, and what it owes to those it takes.
 */
import type { Mutant } from "./mutant.js";

const head = "src/gateway/http/front/head.ts";
const connection = "src/gateway/http/front/connection.ts";
const differential = "test/gateway/front/differential.test.ts";
const alone = "test/gateway/front/front.test.ts";
const says = "says what the library says";

/** All breaks of `src/gateway/http/front`. */
export const frontMutants: readonly Mutant[] = [
  {
    name: "front: a second Content-Length counts",
    file: head,
    find: "        if (length !== undefined) return undefined;\n",
    replace: "",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: Transfer-Encoding is not looked at",
    file: head,
    find: "|transfer-encoding|",
    replace: "|",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: Expect is not looked at",
    file: head,
    find: "|expect|",
    replace: "|",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: Content-Encoding is not looked at",
    file: head,
    find: "|content-encoding|",
    replace: "|",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: a blank before the colon is allowed",
    file: head,
    find: "(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\\t -~]*\\r\\n)+$/",
    replace: "(?:[!#$%&'*+.^_`|~0-9A-Za-z -]+:[\\t -~]*\\r\\n)+$/",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: a bare line feed is a blank",
    file: head,
    find: ":[\\t -~]*\\r\\n)+$/",
    replace: ":[\\t\\n -~]*\\r\\n)+$/",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: a length in another spelling",
    file: head,
    find: "/^(?:0|[1-9]\\d{0,8})$/.test(value)",
    replace: "value !== ''",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: the number of Hosts is not looked at",
    file: head,
    find: "if (hosts !== 1 || length === undefined)",
    replace: "if (length === undefined)",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: Connection: close is overlooked",
    file: head,
    find: `close: connection === "close"`,
    replace: "close: false",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: what comes behind a body is dropped",
    file: connection,
    find: "if (missing < 0 || ",
    replace: "if (",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: the head is not given to the library",
    file: connection,
    find: "socket.unshift(bytes);",
    replace: "socket.unshift(bytes.subarray(1));",
    tests: [differential],
    rule: says,
  },
  {
    name: "front: large bodies are its own",
    file: connection,
    find: "head.length > this.#server.bodyBytes || ",
    replace: "",
    tests: [alone],
    rule: "larger than all bodies may be",
  },
  {
    name: "front: bytes of an abandoned request stay counted",
    file: connection,
    find: "this.#server.arriving.change(-this.#counted);",
    replace: "",
    tests: [alone],
    rule: "its bytes given back",
  },
  {
    name: "front: a request is asked while another is answered",
    file: connection,
    find: `if (this.#state === "answering") this.#socket.pause();\n    else if`,
    replace: "if",
    tests: [alone],
    rule: "answers in order",
  },
  {
    name: "front: reads on while it answers",
    file: connection,
    find: `if (this.#state === "answering") this.#socket.pause();`,
    replace: `if (this.#state === "answering") return;`,
    tests: [alone],
    rule: "reads no more",
  },
  {
    name: "front: connections stay open when the server stops",
    file: connection,
    find: "if (this.#server.stopping) return this.#answerLast(answer);",
    replace: "",
    tests: [alone],
    rule: "closes a connection with its answer",
  },
];
