// `npm run bench:lmdb -- --dtm PATH`: Tandem on its embedded store beside DTM on its own, both with default settings,
// each started here in a temporary folder. Without --dtm Tandem alone, with `--serve ''` DTM alone.
import { parseArgs } from "node:util";
import { type CoordinatorServer, serveLmdb, startDtm, startTandem } from "../test/servers.js";
import { compare } from "./compare.js";
import { loadOptions, toLoad } from "./options.js";

const { values } = parseArgs({
  options: {
    ...loadOptions,
    dtm: { type: "string" },
    protocol: { type: "string", default: "http" },
    serve: { type: "string", default: serveLmdb },
  },
});

if (values.protocol !== "http" && values.protocol !== "grpc")
  throw new Error(`--protocol wants http or grpc, got '${values.protocol}'`);
const started = new Map<string, CoordinatorServer>();
if (values.dtm !== undefined) started.set("dtm", await startDtm(values.dtm));
if (values.serve !== "") started.set("tandem", await startTandem(values.serve));
const targets = [...started].map(([name, { http, grpc, pid }]) => ({
  name,
  addresses: [values.protocol === "grpc" ? grpc : http],
  pids: pid === undefined ? [] : [pid],
}));
let good = false;
try {
  good = await compare({ ...toLoad(values), targets });
} finally {
  for (const server of started.values()) await server.stop();
}
process.exit(good ? 0 : 1);
