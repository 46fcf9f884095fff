/**
 * `npm run sim -- --from N --seeds M`: runs seeds one after the other and prints what they found. Exit 1 on a
 * violation.
 */
import { parseArgs } from "node:util";
import { faultText } from "./faults.js";
import { simulate } from "./simulate.js";

const { values } = parseArgs({
  options: { from: { type: "string", default: "1" }, seeds: { type: "string", default: "100" } },
});
const from = Number(values.from);
const seeds = Number(values.seeds);
const startedMs = performance.now();
let transactions = 0;
let broken = 0;
for (let seed = from; seed < from + seeds; seed++) {
  const result = await simulate(seed);
  transactions += result.transactions;
  if (result.violations.length === 0) continue;
  broken++;
  console.log(`seed ${seed} (npm run sim -- --from ${seed} --seeds 1)`);
  for (const violation of result.violations) console.log(`  ${violation}`);
  for (const fault of result.faults) console.log(`  fault ${faultText(fault)}`);
}
const rate = Math.round((transactions / (performance.now() - startedMs)) * 1000);
console.log(`${seeds} seeds, ${transactions} transactions, ${rate} a second, ${broken} seeds with violations`);
process.exitCode = broken === 0 ? 0 : 1;
