// `npm run size`: what each entry of the client costs the process that imports it.

import { bundle } from "./bundle.js";
import { clientEntries } from "./entries.js";

for (const { name, source } of clientEntries()) {
  const { bytes, laterBytes, packages } = await bundle(source);
  const later = laterBytes === 0 ? "" : `, ${laterBytes} more when needed`;
  process.stdout.write(`${name.padEnd(24)} ${String(bytes).padStart(6)} bytes${later}  ${packages.join(" ")}\n`);
}
