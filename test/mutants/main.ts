/**
 * `npm run mutants [-- part of a name …]`: applies every deliberate break to a copy of the tree and shows which tests
 * notice it. Exits 1 when one survives, does not apply, or is noticed by other tests than the named one.
 */

import { mutants } from "./table.js";
import { type Judged, judgeAll } from "./workshop.js";

const wanted = process.argv.slice(2);
const chosen = mutants.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));

function line({ mutant, verdict, failed }: Judged): string {
  const by = verdict === "killed" ? `${mutant.rule} (${failed.length} failed)` : `${mutant.tests.join(", ")}`;
  return `${verdict.padEnd(8)}  ${mutant.name.padEnd(52)}  ${by}\n`;
}

if (chosen.length === 0) {
  process.stderr.write(`no mutant has any of these in its name: ${wanted.join(", ")}\n`);
  process.exit(2);
}
const judged = await judgeAll(chosen, 2, (one) => process.stdout.write(line(one)));
const killed = judged.filter(({ verdict }) => verdict === "killed").length;
process.stdout.write(`\n${killed} of ${judged.length} mutants killed\n`);
process.exit(killed === judged.length ? 0 : 1);
