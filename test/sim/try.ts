import { simulate } from "./simulate.js";

const from = Number(process.argv[2] ?? 1),
  n = Number(process.argv[3] ?? 5);
const t0 = performance.now();
let tx = 0,
  bad = 0;
for (let seed = from; seed < from + n; seed++) {
  const r = await simulate(seed);
  tx += r.transactions;
  if (r.violations.length) {
    bad++;
    console.log(seed, r.violations.slice(0, 4), r.faults.map((f) => f.kind + "@" + f.atMs).join(" "));
  } else if (n < 20) console.log(seed, r.hash, r.ends, r.steps, Object.fromEntries(r.hits));
}
console.log(bad, "bad of", n, ((tx / (performance.now() - t0)) * 1000).toFixed(0), "tx/s");
