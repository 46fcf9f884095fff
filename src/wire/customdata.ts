/**
 * `custom_data`: JSON text whose meaning depends on the type: a saga's order, a msg's delay, a workflow's name and
 * input. Checked here so far that the core can rely on it; kept as it was sent.
 */
import { readDelayS } from "../core/pattern/msg.js";
import { memberOf } from "../core/pattern/pattern.js";
import { findCycle, readOrder } from "../core/pattern/saga.js";
import type { TransType } from "../core/transaction.js";
import { classOf, InvalidInput, invalid } from "./invalid.js";
import { parseJson } from "./json.js";
import type { InputLimits } from "./limits.js";

type CustomLimits = Pick<InputLimits, "customDataBytes" | "jsonDepth" | "jsonValues" | "options">;

/**
 * Checks the text for a type and gives its canonical form (names sorted), which is part of the digest; of tcc and xa,
 * which have no use for it, the text itself. @throws InvalidInput
 */
export function readCustomData(type: TransType, text: string, steps: number, limits: CustomLimits): string {
  if (text === "") return "";
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length > limits.customDataBytes)
    throw invalid("custom_data", `${bytes.length} bytes`, `at most ${limits.customDataBytes} bytes`);
  if (type === "tcc" || type === "xa") return text;
  const data = parseJson(bytes, { ...limits, bodyBytes: limits.customDataBytes }, "custom_data");
  if (data === null) return canonical(data);
  if (typeof data !== "object" || Array.isArray(data)) throw invalid("custom_data", classOf(data), "JSON object");
  if (type === "saga") checkOrder(data, text, steps);
  else if (type === "msg") checkDelay(text, limits.options.delayS);
  else checkWorkflow(data);
  return canonical(data);
}

function checkOrder(data: object, text: string, steps: number): void {
  const [concurrent, orders] = [memberOf(data, "concurrent"), memberOf(data, "orders")];
  if (concurrent !== undefined && concurrent !== null && typeof concurrent !== "boolean")
    throw invalid("custom_data.concurrent", classOf(concurrent), "true or false");
  if (orders === undefined || orders === null) return;
  if (typeof orders !== "object" || Array.isArray(orders))
    throw invalid("custom_data.orders", classOf(orders), "object of step numbers");
  for (const [step, before] of Object.entries(orders)) {
    if (!/^\d{1,4}$/.test(step) || Number(step) >= steps) throw noStep(steps);
    if (before === null) continue;
    if (!Array.isArray(before)) throw invalid("custom_data.orders", classOf(before), "array of step numbers");
    for (const one of before) if (!Number.isInteger(one) || one < 0 || one >= steps) throw noStep(steps);
  }
  const cycle = findCycle(steps, readOrder(text));
  if (cycle !== undefined)
    throw invalid("custom_data.orders", `a cycle through step ${cycle}`, "an order in which every step can start");
}

function noStep(steps: number): InvalidInput {
  return new InvalidInput(`custom_data.orders: a step that does not exist met, there are ${steps} (from 0) here`);
}

function checkDelay(text: string, max: number): void {
  const delay = readDelayS(text);
  if (delay === null) return;
  if (typeof delay !== "number" || !Number.isInteger(delay) || delay < 0 || delay > max)
    throw invalid("custom_data.delay", classOf(delay), `whole seconds from 0 to ${max}`);
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Whether the text is padded standard base64. */
export function isBase64(text: string): boolean {
  return base64.test(text);
}

function checkWorkflow({ name, data }: { name?: unknown; data?: unknown }): void {
  if (typeof name !== "string" || name === "") throw invalid("custom_data.name", classOf(name), "name of the workflow");
  if (data === undefined || data === null) return;
  if (typeof data !== "string" || !isBase64(data)) throw invalid("custom_data.data", classOf(data), "padded base64");
}

/** JSON text in which two values that differ only in spacing and the order of names are equal. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join()}}`;
}
