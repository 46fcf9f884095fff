// `npm run overload`: a real server on LMDB gets four times what it can do, for a minute. It must keep at least 80 % of
// its peak, end everything that it acknowledged, refuse the rest in good form, and not grow. Exit code 1 when not.
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Participants } from "../../bench/participants.js";
import { runRound } from "../../bench/round.js";
import { startTandem } from "../servers.js";
import { flood } from "./flood.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    times: { type: "string", default: "4" },
    "peak-seconds": { type: "string", default: "10" },
    connections: { type: "string", default: "12000" },
  },
});

const seconds = Number(values.seconds);
const server = await startTandem();
const api = server.http;
const participants = await Participants.start();
let index = 0;
const nextIndex = () => index++;

/** Resident memory of the server, MB: pages that are its own, without the store's mapped file. */
function residentMb(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, "utf8");
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? "0") / 1024;
}

async function peakOf(clients: number): Promise<number> {
  const plan = { pattern: "saga", clients, warmupSeconds: 3, drainSeconds: 20, nextIndex } as const;
  const target = { name: "tandem", addresses: [api], pids: [] };
  const { perSecond, p50Ms } = await runRound(
    { ...plan, seconds: Number(values["peak-seconds"]), target },
    participants,
  );
  console.log(`${clients} clients: ${Math.round(perSecond)}/s, p50 ${p50Ms.toFixed(1)} ms`);
  return perSecond;
}

const peak = Math.max(await peakOf(64), await peakOf(256));
const completed = new Set<number>();
participants.listen((one) => void completed.add(one));
const action = `http://127.0.0.1:${participants.port}/saga/accept`;
const perSecond = peak * Number(values.times);
const { counts, done } = await flood({
  api,
  perSecond,
  seconds,
  connections: Number(values.connections),
  action,
  nextIndex,
});
const memory: number[] = [];
const completions: number[] = [];
for (let second = 0; second < seconds; second++) {
  await delay(1000);
  memory.push(residentMb());
  completions.push(completed.size);
  if (second % 10 === 9)
    console.log(
      `${second + 1} s: ${counts.sent} sent, ${counts.acknowledged} acknowledged, ${counts.refused} refused, ` +
        `${counts.heldBack} held back, ${counts.errors} errors, ${completed.size} completed, ${Math.round(memory.at(-1)!)} MB`,
    );
}
await done;
const drainMs = performance.now() + 120_000;
const open = () => [...counts.accepted].filter((one) => !completed.has(one)).length;
while (open() > 0 && performance.now() < drainMs) await delay(500);

const skipped = Math.floor(seconds / 6);
const goodput = (completions.at(-1)! - completions[skipped - 1]!) / (seconds - skipped);
const quarter = Math.ceil(seconds / 4);
// The first half fills buffers and heap; then memory is a saw whose teeth are the collector's: its lowest points
// count.
const before = Math.min(...memory.slice(-2 * quarter, -quarter));
const growth = Math.min(...memory.slice(-quarter)) / before;
const lost = open();
participants.close();
await server.stop();
const { sent, heldBack, acknowledged, refused, errors } = counts;
console.log(
  `peak ${Math.round(peak)}/s; offered ${Math.round((sent + heldBack) / seconds)}/s for ${seconds} s: goodput ` +
    `${Math.round(goodput)}/s = ${Math.round((100 * goodput) / peak)} %, ${acknowledged} acknowledged, ` +
    `${refused} refused, ${heldBack} held back, ${errors} errors, ${lost} lost; memory at least ${Math.round(before)} MB ` +
    `in the third quarter, × ${growth.toFixed(2)} in the last, at most ${Math.round(Math.max(...memory))} MB`,
);
if (counts.firstError !== undefined) console.log(`first error: ${counts.firstError}`);
process.exit(goodput >= 0.8 * peak && lost === 0 && errors === 0 && growth < 1.1 ? 0 : 1);
