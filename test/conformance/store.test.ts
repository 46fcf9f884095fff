// Every store that runs within this process passes the one suite.
import { adapters } from "./adapters.js";
import { storeRules } from "./store.js";

for (const adapter of adapters) storeRules(adapter);
