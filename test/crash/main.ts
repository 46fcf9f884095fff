// `npm run crash`: kill -9 in a loop against a real server on LMDB. Prints what each kill met, and the verdict; exit
// code 1 when anything acknowledged was lost, did not end, or took effect otherwise than once.
import { parseArgs } from "node:util";
import { campaign, kindsOfKill } from "./campaign.js";

const { values } = parseArgs({
  options: {
    "kills-of-each": { type: "string", default: "24" },
    initiators: { type: "string", default: "16" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    minutes: { type: "string", default: "15" },
    quiet: { type: "boolean", default: false },
  },
});

console.log(`seed ${values.seed}`);
const report = await campaign(
  {
    killsOfEach: Number(values["kills-of-each"]),
    initiators: Number(values.initiators),
    seed: Number(values.seed),
    withinMs: Number(values.minutes) * 60_000,
  },
  (text) => void (values.quiet || console.log(text)),
);
const { kills, verdict, errors } = report;
const counted = kindsOfKill.reduce((sum, kind) => sum + kills[kind], 0);
console.log(JSON.stringify({ ...report, verdict: { ...verdict, ends: undefined } }, undefined, 2));
console.log(JSON.stringify(verdict.ends));
const bad = verdict.lost.length + verdict.unfinished.length + verdict.wrong.length + verdict.doubled.length;
console.log(
  `${counted} counted kills (${kindsOfKill.map((kind) => `${kind} ${kills[kind]}`).join(", ")}), ` +
    `${report.acknowledged} acknowledged, ${verdict.lost.length} lost, ${verdict.unfinished.length} unfinished, ` +
    `${verdict.doubled.length} double effects, ${verdict.wrong.length} wrong, ${errors.length} errors`,
);
process.exit(bad + errors.length === 0 ? 0 : 1);
