// `npm run requirements`: writes docs/requirements.md from the ids that tests name and from rules.json; ends with 1
// when a reference leads nowhere.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { coverage, deadReferences, isOpen, readRules, toMarkdown } from "./coverage.js";

const rules = readRules();
const covered = coverage(rules);
const dead = deadReferences(rules);
writeFileSync(join(import.meta.dirname, "..", "..", "docs", "requirements.md"), toMarkdown(covered));
for (const reference of dead) process.stdout.write(`leads nowhere: ${reference}\n`);
const open = covered.filter(isOpen);
for (const { id, rule, open: why } of open) process.stdout.write(`open: ${id} ${why ?? rule}\n`);
process.stdout.write(`${covered.length} requirements, ${open.length} open, ${dead.length} references lead nowhere\n`);
process.exitCode = dead.length === 0 ? 0 : 1;
