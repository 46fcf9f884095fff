// The patterns over DTM's HTTP API, as DTM's own clients send them.
import type { Pattern } from "../patterns.js";
import { Connection } from "./connection.js";
import type { Initiator } from "./transport.js";

/** One request of a transaction: to the coordinator's operation, or (a try) to a participant. */
interface Request {
  readonly to: "coordinator" | "participant";
  readonly target: string;
  readonly body: string;
}

const payload = JSON.stringify({ amount: 30, from: "a", to: "b" });
const payloads = [payload, payload];

/** Opens a client of `http://host:port/base`. */
export async function openHttp(address: string, pattern: Pattern, participantPort: number): Promise<Initiator> {
  const base = new URL(address);
  const coordinator = new Connection(base.hostname, Number(base.port || 80));
  const participant = new Connection("127.0.0.1", participantPort);
  const requests = scripts[pattern](base.pathname.replace(/\/$/, ""), `http://127.0.0.1:${participantPort}/${pattern}`);
  return {
    async run(gid) {
      for (const { to, target, body } of requests(gid)) {
        const connection = to === "coordinator" ? coordinator : participant;
        try {
          const { status, body: text } = await connection.post(target, body);
          if (status !== 200) return `${target}: ${status} ${text}`;
        } catch (cause) {
          return `${target}: ${cause instanceof Error ? cause.message : String(cause)}`;
        }
      }
      return undefined;
    },
    close() {
      coordinator.close();
      participant.close();
    },
  };
}

type Script = (base: string, participants: string) => (gid: string) => readonly Request[];

const scripts: Readonly<Record<Pattern, Script>> = {
  saga: (base, at) => saga(base, [`${at}/accept`, `${at}/accept`]),
  rollback: (base, at) => saga(base, [`${at}/accept`, `${at}/refuse`]),
  tcc,
  msg,
};

function toCoordinator(target: string, body: object): Request {
  return { to: "coordinator", target, body: JSON.stringify(body) };
}

function saga(base: string, actions: readonly string[]): (gid: string) => readonly Request[] {
  const steps = actions.map((action) => ({ action, compensate: action }));
  return (gid) => [toCoordinator(`${base}/submit`, { gid, trans_type: "saga", steps, payloads })];
}

/** Two-phase message: what a client does around its local database transaction. */
function msg(base: string, at: string): (gid: string) => readonly Request[] {
  const steps = [{ action: `${at}/accept` }, { action: `${at}/accept` }];
  return (gid) => {
    const body = { gid, trans_type: "msg", steps, payloads, query_prepared: `${at}/accept` };
    return [toCoordinator(`${base}/prepare`, body), toCoordinator(`${base}/submit`, body)];
  };
}

/** The initiator registers each branch, then calls its try itself. */
function tcc(base: string, at: string): (gid: string) => readonly Request[] {
  const url = `${at}/accept`;
  const path = new URL(url).pathname;
  return (gid) => {
    const whole = { gid, trans_type: "tcc" };
    const branch = (branchId: string): readonly Request[] => [
      toCoordinator(`${base}/registerBranch`, {
        ...whole,
        branch_id: branchId,
        data: payload,
        confirm: url,
        cancel: url,
      }),
      {
        to: "participant",
        target: `${path}?branch_id=${branchId}&gid=${gid}&op=try&trans_type=tcc`,
        body: payload,
      },
    ];
    return [
      toCoordinator(`${base}/prepare`, whole),
      ...branch("01"),
      ...branch("02"),
      toCoordinator(`${base}/submit`, whole),
    ];
  };
}
