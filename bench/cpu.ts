// CPU time of processes and their descendants, from /proc (Linux only; elsewhere no figure is given).
import { readdirSync, readFileSync } from "node:fs";

const ticksPerSecond = 100;

interface Sample {
  readonly parent: number;
  readonly ticks: number;
}

/**
 * Seconds of CPU used so far by the processes and everything they started; `undefined` when one of them can't be seen.
 */
export function cpuSeconds(pids: readonly number[]): number | undefined {
  const samples = readAll();
  if (pids.length === 0 || pids.some((pid) => !samples.has(pid))) return undefined;
  const roots = new Set(pids);
  let ticks = 0;
  for (const [pid, sample] of samples) if (descends(pid, roots, samples)) ticks += sample.ticks;
  return ticks / ticksPerSecond;
}

function descends(pid: number, roots: ReadonlySet<number>, samples: ReadonlyMap<number, Sample>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1; at = samples.get(at)?.parent) {
    if (roots.has(at)) return true;
  }
  return false;
}

function readAll(): ReadonlyMap<number, Sample> {
  const samples = new Map<number, Sample>();
  for (const name of list()) {
    if (!/^\d+$/.test(name)) continue;
    const sample = read(name);
    if (sample !== undefined) samples.set(Number(name), sample);
  }
  return samples;
}

function list(): readonly string[] {
  try {
    return readdirSync("/proc");
  } catch {
    return [];
  }
}

/**
 * Fields 4, 14 and 15 of proc(5) stat: parent, user time, system time. The name before them may hold blanks and
 * brackets.
 */
function read(pid: string): Sample | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
  } catch {
    return undefined;
  }
}
