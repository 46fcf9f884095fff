/**
 * `npm run mutants [-- part of a name …]`: applies every deliberate break to a copy of the tree and shows which tests
 * notice it. `--sim`: plants breaks into the simulation, and shows which rule notices them after how many seeds. Exits
 * 1 when one survives, does not apply, or is noticed by others than the named ones.
 */

import { type SimulatedMutant, simulatedMutants } from "./simulated.js";
import { noticedLine, putToTest } from "./simulation.js";
import { mutants } from "./table.js";
import { type Judged, judgeAll } from "./workshop.js";

const simulated = process.argv.includes("--sim");
const wanted = process.argv.slice(2).filter((word) => word !== "--sim");
const isWanted = ({ name }: { readonly name: string }) =>
  wanted.length === 0 || wanted.some((part) => name.includes(part));

function line({ mutant, verdict, failed }: Judged): string {
  const by = verdict === "killed" ? `${mutant.rule} (${failed.length} failed)` : `${mutant.tests.join(", ")}`;
  return `${verdict.padEnd(8)}  ${mutant.name.padEnd(52)}  ${by}\n`;
}

/** How many of them were killed. */
async function judgeBySimulation(chosen: readonly SimulatedMutant[]): Promise<number> {
  let killed = 0;
  for (const mutant of chosen) {
    const noticed = await putToTest(mutant, 2);
    process.stdout.write(noticedLine(noticed));
    if (noticed.verdict === "killed") killed++;
  }
  return killed;
}

async function judgeByTests(): Promise<readonly [killed: number, of: number]> {
  const chosen = mutants.filter(isWanted);
  if (chosen.length === 0) return [0, 0];
  const judged = await judgeAll(chosen, 2, (one) => process.stdout.write(line(one)));
  return [judged.filter(({ verdict }) => verdict === "killed").length, judged.length];
}

const planted = simulatedMutants.filter(isWanted);
const [killed, of] = simulated ? [await judgeBySimulation(planted), planted.length] : await judgeByTests();
if (of === 0) {
  process.stderr.write(`no mutant has any of these in its name: ${wanted.join(", ")}\n`);
  process.exit(2);
}
process.stdout.write(`\n${killed} of ${of} mutants killed\n`);
process.exit(killed === of ? 0 : 1);
