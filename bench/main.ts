// `npm run bench -- --target NAME=URL …`: measures running coordinators. See README.md beside this file.
import { parseArgs } from "node:util";
import { compare } from "./compare.js";
import { loadOptions, pair, toLoad } from "./options.js";

const { values } = parseArgs({
  options: {
    ...loadOptions,
    target: { type: "string", multiple: true, default: [] },
    pid: { type: "string", multiple: true, default: [] },
  },
});

const pids = values.pid.map((text) => pair("--pid", text));
const targets = values.target.map((text) => {
  const [name, address] = pair("--target", text);
  return {
    name,
    addresses: address.split(","),
    pids: pids.filter(([owner]) => owner === name).map(([, pid]) => Number(pid)),
  };
});
if (targets.length === 0) throw new Error("no --target NAME=http://HOST:PORT/api/dtmsvr given");
process.exit((await compare({ ...toLoad(values), targets })) ? 0 : 1);
