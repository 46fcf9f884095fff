// One execution of a workflow: open it at the coordinator, run the handler, record the end. Loaded when the first
// workflow is registered, so that a process without workflows does not carry their machinery.

import { type ApiBody, accepted, Rejected } from "../api.js";
import { Failure } from "../errors.js";
import { type GlobalOptions, optionFields } from "../global.js";
import type { Initiator } from "../tcc.js";
import { type FlowEnd, runFlow } from "./flow.js";
import { openWorkflow, Records } from "./record.js";
import { decodeValue, encodeValue } from "./value.js";
import type { Lease, Workflow } from "./workflow.js";

export { encodeValue } from "./value.js";

/** What every run of a process has in common. */
export interface Executor {
  readonly callbackUrl: string;
  readonly lease: Lease | undefined;
}

/**
 * Runs `of` to its end and resolves to its value. Rejects with `Failure` once everything was rolled back, with anything
 * else if the run was interrupted. `inputText` is the input as `encodeValue` wrote it.
 */
export function executeOnce(
  initiator: Initiator,
  of: Workflow<never, unknown>,
  gid: string,
  inputText: string,
  options: GlobalOptions,
  executor: Executor,
): Promise<unknown> {
  return initiator.api.telemetry.during({ name: `workflow ${of.name}`, gid }, () =>
    openAndRun(initiator, of, gid, inputText, options, executor),
  );
}

async function openAndRun(
  initiator: Initiator,
  { name, handler }: Workflow<never, unknown>,
  gid: string,
  inputText: string,
  options: GlobalOptions,
  { callbackUrl, lease }: Executor,
): Promise<unknown> {
  const { api, access } = initiator;
  const body: ApiBody = {
    gid,
    trans_type: "workflow",
    custom_data: JSON.stringify({ name, data: Buffer.from(inputText).toString("base64") }),
    query_prepared: callbackUrl,
    ...optionFields(api, { ...options, wait: undefined }),
    concurrent: false,
    protocol: "http",
    ...(lease && { lease_seconds: lease.seconds, executor_id: lease.executorId }),
  };
  const opened = await openWorkflow(api, body, options.signal);
  if (opened.kind === "succeeded") return decodeValue(new TextDecoder().decode(opened.result));
  if (opened.kind === "failed") throw new Failure(opened.reason, { gid });
  const records = new Records(api, body, opened.steps);
  const { headers, signal } = options;
  // The input is what `execute` was given for this workflow, by way of its text, so that a resumed run gets the same.
  const input = decodeValue(inputText) as never;
  const ended = await runFlow({ gid, records, access, headers, signal }, (flow) => handler(flow, input));
  return finish(initiator, body, name, ended);
}

/** Records the end. If another executor ended it first, its end counts. */
async function finish(initiator: Initiator, body: ApiBody, name: string, ended: FlowEnd<unknown>): Promise<unknown> {
  const { api } = initiator;
  const gid = String(body.gid);
  const resultText = ended.kind === "succeeded" ? (encodeValue(ended.value, `workflow '${name}'`) ?? "") : "";
  const req_extra =
    ended.kind === "succeeded"
      ? { status: "succeed", result: Buffer.from(resultText).toString("base64"), rollback_reason: "" }
      : { status: "failed", result: "", rollback_reason: ended.reason };
  try {
    await accepted(api, "submit", { gid, trans_type: "workflow", req_extra });
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    const now = await openWorkflow(api, body);
    if (now.kind === "succeeded") return decodeValue(new TextDecoder().decode(now.result));
    if (now.kind === "failed") throw new Failure(now.reason, { gid });
    throw error;
  }
  if (ended.kind === "failed") throw new Failure(ended.reason, { gid });
  return decodeValue(resultText);
}
