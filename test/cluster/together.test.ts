/**
 * All faults at once on a real cluster, for half a minute; `npm run chaos -- --together` does it for as long as wanted.
 */
import { expect, it } from "vitest";
import { together } from "../chaos/together.js";
import { available } from "../servers.js";

const isThere = (await available("mysql")) && (await available("nats"));

it.runIf(isThere)(
  "whatever strikes at the same time, every transfer of every pattern has its end and no money is lost",
  async () => {
    const lines: string[] = [];
    const say = (line: string) => void lines.push(line);
    const complaints = await together({ minutes: 0.5, clients: 12, leaseMs: 3000, random: Math.random, say });
    process.stdout.write(`${lines.join("\n")}\n`);
    expect(complaints).toEqual([]);
  },
  240_000,
);
