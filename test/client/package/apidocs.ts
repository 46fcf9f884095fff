// `npm run docs:api`: writes the API reference anew.

import { writeFileSync } from "node:fs";
import { reference, referencePath } from "./reference.js";

writeFileSync(referencePath, reference());
