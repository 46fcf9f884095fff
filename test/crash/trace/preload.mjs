// Preloaded into a server under test (`node --import`): puts `lmdb.mjs` between the server and the package `lmdb`, so
// that every flush is noted in a file that outlives a kill. The server's own code runs as it is.
import { register } from "node:module";

const traced = new URL("./lmdb.mjs", import.meta.url).href;

const hook = `
export function resolve(specifier, context, next) {
  if (specifier !== "lmdb" || context.parentURL === ${JSON.stringify(traced)}) return next(specifier, context);
  return { url: ${JSON.stringify(traced)}, shortCircuit: true };
}`;

register(`data:text/javascript,${encodeURIComponent(hook)}`);
