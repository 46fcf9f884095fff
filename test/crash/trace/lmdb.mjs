// The package `lmdb` with a witness. Each flush leaves three lines in the file TANDEM_TRACE: `D n t` it is decided and
// handed to LMDB next, `B n t` LMDB has it, `E n t` it is durable and nobody knows yet (t: monotonic nanoseconds).
// TANDEM_TRACE_AIM=before|in|after:n makes the process kill itself, as by `kill -9`, at that point of its n-th flush;
// `in` waits a random part of four milliseconds after B and tries again at the next flush when E was faster.
import { appendFileSync, openSync, writeSync } from "node:fs";
import * as lmdb from "lmdb";

export * from "lmdb";

const file = process.env.TANDEM_TRACE ?? "";
const descriptor = file === "" ? undefined : openSync(file, "a");
const [kind = "", nth = "0"] = (process.env.TANDEM_TRACE_AIM ?? "").split(":");
let flushes = 0;

function note(letter, flush) {
  if (descriptor !== undefined) writeSync(descriptor, `${letter} ${flush} ${process.hrtime.bigint()}\n`);
}

function die() {
  process.kill(process.pid, "SIGKILL");
  appendFileSync(file, "survived\n");
}

const aimed = (at, flush) => kind === at && flush >= Number(nth);

/** As lmdb's own, with the flushes of its root noted. */
export function open(...given) {
  const root = lmdb.open(...given);
  const batch = root.batch.bind(root);
  root.batch = (work) => {
    const flush = ++flushes;
    note("D", flush);
    if (aimed("before", flush)) die();
    const done = batch(work);
    note("B", flush);
    const timer = aimed("in", flush) ? setTimeout(die, Math.random() * 4) : undefined;
    // the first to hear of it: nobody has been told that it is durable
    const ended = () => {
      clearTimeout(timer);
      note("E", flush);
      if (aimed("after", flush)) die();
    };
    done.then(ended, () => note("F", flush));
    return done;
  };
  return root;
}
