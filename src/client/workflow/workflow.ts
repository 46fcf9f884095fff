// Workflows: a plain async function whose steps are recorded at the coordinator. If this process dies, the coordinator
// calls the callback route and the function runs again, steps that are recorded giving their recorded values.

import { type Duration, toSeconds } from "../duration.js";
import { Failure, findBranded, invalidInput, Ongoing } from "../errors.js";
import { checkGid, type GlobalOptions, newGid } from "../global.js";
import { readIdentity } from "../identity.js";
import { answered, type Incoming, type Route } from "../participant/route.js";
import type { Initiator } from "../tcc.js";
import type { Flow } from "./flow.js";

/** A workflow as it was defined. */
export interface Workflow<In, Out> {
  readonly name: string;
  readonly handler: (flow: Flow, input: In) => Promise<Out>;
}

/** Names a handler. The name is stored with every run: keep it while runs of it may be open. */
export function workflow<In = undefined, Out = void>(
  name: string,
  handler: (flow: Flow, input: In) => Promise<Out>,
): Workflow<In, Out> {
  if (name !== "" && name.length <= 45) return { name, handler };
  throw invalidInput(`a workflow's name has 1 to 45 characters, not ${name.length}`, {
    hint: "it is stored with every run, and finds the handler when one is resumed",
  });
}

/** Settings of the workflows of a process. */
export interface WorkflowsOptions {
  /** Where the coordinator calls this service to go on with a run; `route` is mounted at its path. */
  readonly callbackUrl: string;
  /**
   * Makes this process the only executor of a run while it records steps: whoever else wants to go on with it is told
   * `Ongoing` until the lease has run out. Every recorded step renews it, so it must outlast the longest step. Whole
   * seconds, 1–3,600; default: none, as with DTM, whose own server ignores it.
   */
  readonly lease?: Duration;
}

/** How a process asks to be the only executor of its runs. */
export interface Lease {
  readonly seconds: number;
  /** Of this process and registration; a restarted process is another executor. */
  readonly executorId: string;
}

/** The workflows this process can run. */
export interface Workflows extends AsyncDisposable {
  /**
   * Runs to the end and resolves to the result. Rejects with `Failure` after everything was rolled back; with anything
   * else if the run is interrupted: then the coordinator calls back, and `execute` with the same gid and input joins
   * in. A gid that is done gives its recorded result.
   */
  execute<In, Out>(workflow: Workflow<In, Out>, options: GlobalOptions, input: In): Promise<Out>;
  execute<Out>(workflow: Workflow<undefined, Out>, options?: GlobalOptions): Promise<Out>;
  /** The callback, to be mounted with the service's other routes. */
  readonly route: Route;
  /**
   * For a service's end, before its server and its client are closed: begins no run any more, answers callbacks "not
   * yet", and resolves when the runs that were begun have ended.
   */
  close(): Promise<void>;
}

/** A workflow of any types: what it takes and gives is settled where it was defined. */
type AnyWorkflow = Workflow<never, unknown>;

/** Registers workflows by name; two of one name are refused. */
export function workflows(initiator: Initiator, list: readonly AnyWorkflow[], options: WorkflowsOptions): Workflows {
  if (!URL.canParse(options.callbackUrl)) {
    throw invalidInput(`not a URL: ${JSON.stringify(options.callbackUrl)}`);
  }
  const byName = new Map(list.map((one) => [one.name, one]));
  if (byName.size < list.length) throw invalidInput("two workflows have the same name");
  const executor = { callbackUrl: options.callbackUrl, lease: leaseOf(options.lease) };
  const machinery = import("./execute.js");
  // Whoever executes a workflow is told; until then it is nobody's error.
  machinery.catch(() => {});
  let isClosing = false;
  /** One run of a gid at a time in this process; others of the same workflow and input join it. */
  const running = new Map<string, { readonly what: string; readonly run: Promise<unknown> }>();

  function execute(of: AnyWorkflow, gid: string, inputText: string, settings: GlobalOptions): Promise<unknown> {
    const what = `${of.name} ${inputText}`;
    const joined = running.get(gid);
    if (joined?.what === what) return joined.run;
    if (isClosing) throw new Ongoing("this process is closing and begins no workflow", { gid });
    if (joined !== undefined) {
      throw invalidInput(`workflow ${gid} is running here with another name or input`, {
        ...{ gid, hint: "give each run a gid of its own" },
      });
    }
    const run = machinery
      .then(({ executeOnce }) => executeOnce(initiator, of, gid, inputText, settings, executor))
      .finally(() => running.delete(gid));
    running.set(gid, { what, run });
    return run;
  }

  async function callBack({ url, body }: Incoming): Promise<void> {
    const { gid, op } = readIdentity(url);
    const found = byName.get(op);
    if (found === undefined) {
      throw invalidInput(`no workflow '${op}' here, only ${[...byName.keys()].join(", ")}`, {
        ...{ gid, hint: "register it with client.workflows([…]) under the name it was started with" },
      });
    }
    if (running.has(gid)) throw new Ongoing(`workflow ${gid} is running here`, { gid });
    const text = typeof body === "string" ? body : new TextDecoder().decode(body);
    // A workflow that failed has told the coordinator so; the callback itself went well.
    await execute(found, gid, text, {}).catch((error: unknown) => {
      if (!(findBranded(error) instanceof Failure)) throw error;
    });
  }

  const close = async () => {
    isClosing = true;
    await Promise.allSettled([...running.values()].map(({ run }) => run));
  };
  return {
    close,
    [Symbol.asyncDispose]: close,
    execute: async <Out>(of: AnyWorkflow, settings: GlobalOptions = {}, input?: unknown) => {
      if (byName.get(of.name) !== of) throw unregistered(of);
      const gid = checkGid(settings.gid ?? newGid());
      const { encodeValue } = await machinery;
      // The value was made by the workflow's own handler, here or where it ran first.
      return (await execute(of, gid, encodeValue(input, `input of '${of.name}'`) ?? "", settings)) as Out;
    },
    route: {
      path: new URL(options.callbackUrl).pathname,
      handle: (incoming) => answered(incoming, () => callBack(incoming)),
    },
  };
}

function leaseOf(duration: Duration | undefined): Lease | undefined {
  if (duration === undefined) return undefined;
  const seconds = toSeconds(duration);
  if (seconds >= 1 && seconds <= 3_600) return { seconds, executorId: newGid() };
  throw invalidInput(`a lease of ${seconds} s is not within 1–3,600 s`);
}

const unregistered = ({ name }: AnyWorkflow) =>
  invalidInput(`workflow '${name}' is not registered, so nobody could resume it`, {
    hint: "name it in client.workflows([…], { callbackUrl }), the same object as is executed",
  });
