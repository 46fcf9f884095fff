// A step defined once: both sides of it, its payload's type, its routes and its reference for initiators. Neither side
// can be forgotten, and both run behind the barrier.

import type { BarrierResult } from "../barrier/core.js";
import type { Delivery } from "../barrier/delivery.js";
import type { Guard } from "../barrier/guard.js";
import { Failure, InvalidBranch, invalidInput } from "../errors.js";
import type { SagaStep, TccStep } from "../step.js";
import { type Route, route } from "./route.js";

/** What validators agree on (standardschema.dev): zod, valibot, arktype and others have it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** A validated value, or why not. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] };

interface StepDefinition<Tx, Input, Parsed> {
  /** Where the step is mounted; the other side is below it. */
  readonly path: string;
  /** Barrier of the database that the step writes to. */
  readonly guard: Guard<Tx>;
  /** Checks and types the payload. Without it the payload is taken as it comes. */
  readonly input?: StandardSchema<Input, Parsed>;
}

type Checked<Tx, Input, Parsed> = StepDefinition<Tx, Input, Parsed> & { readonly input: StandardSchema<Input, Parsed> };
type Unchecked<Tx> = StepDefinition<Tx, unknown, unknown> & { readonly input?: undefined };

interface SagaSides<Tx, Parsed> {
  readonly action: Side<Tx, Parsed>;
  readonly compensate: Side<Tx, Parsed, void>;
}

interface TccSides<Tx, Parsed, Out> {
  readonly try: Side<Tx, Parsed, Out>;
  readonly confirm: Side<Tx, Parsed, void>;
  readonly cancel: Side<Tx, Parsed, void>;
}

/** A side of a step: business code inside the barrier's transaction. */
export type Side<Tx, Parsed, Out = unknown> = (tx: Tx, input: Parsed, delivery: Delivery) => Promise<Out>;

/** A step as it is mounted, and as others refer to it. */
export interface DefinedStep<Reference> {
  readonly routes: readonly Route[];
  /** The reference for initiators; `base` is this service's address as coordinator and initiators reach it. */
  at(base: string): Reference;
}

/**
 * A step of sagas and workflows at `path` and `path/compensate`. `action` may throw `Failure`; `compensate` must get
 * through in the end, so it returns nothing and is called again whatever it throws. It runs only if the action took
 * effect.
 */
export function defineStep<Tx, Input, Parsed>(
  definition: Checked<Tx, Input, Parsed> & SagaSides<Tx, Parsed>,
): DefinedStep<SagaStep<Input>>;
/** The same without a schema: `Input` is what `action` says it takes, unchecked. */
export function defineStep<Tx, Input = unknown>(
  definition: Unchecked<Tx> & SagaSides<Tx, Input>,
): DefinedStep<SagaStep<Input>>;
/** Both forms: without a schema nothing is validated. */
export function defineStep<Tx, Input, Parsed>(
  definition: StepDefinition<Tx, Input, Parsed> & SagaSides<Tx, Parsed>,
): DefinedStep<SagaStep<Input>> {
  const { path, action, compensate } = definition;
  const undo = `${path}/compensate`;
  return {
    routes: [
      route(path, side(definition, ["action"], action)),
      route(undo, side(definition, ["compensate", "rollback"], compensate)),
    ],
    at: (base) => ({ action: joined(base, path), compensate: joined(base, undo) }),
  };
}

/**
 * A TCC step at `path`, `path/confirm` and `path/cancel`. Only `try` may throw `Failure`; its value goes to the
 * initiator.
 * `cancel` runs only if the try took effect.
 */
export function defineTccStep<Tx, Out, Input, Parsed>(
  definition: Checked<Tx, Input, Parsed> & TccSides<Tx, Parsed, Out>,
): DefinedStep<TccStep<Input, Out>>;
/** The same without a schema: `Input` is what `try` says it takes, unchecked. */
export function defineTccStep<Tx, Out, Input = unknown>(
  definition: Unchecked<Tx> & TccSides<Tx, Input, Out>,
): DefinedStep<TccStep<Input, Out>>;
/** Both forms: without a schema nothing is validated. */
export function defineTccStep<Tx, Out, Input, Parsed>(
  definition: StepDefinition<Tx, Input, Parsed> & TccSides<Tx, Parsed, Out>,
): DefinedStep<TccStep<Input, Out>> {
  const { path } = definition;
  return {
    routes: [
      route(path, side(definition, ["try"], definition.try)),
      route(`${path}/confirm`, side(definition, ["confirm"], definition.confirm)),
      route(`${path}/cancel`, side(definition, ["cancel"], definition.cancel)),
    ],
    at: (base) => ({
      try: joined(base, path),
      confirm: joined(base, `${path}/confirm`),
      cancel: joined(base, `${path}/cancel`),
    }),
  };
}

/** A message's target at `path`: runs once per message, cannot refuse. */
export function defineReceiver<Tx, Input = unknown, Parsed = Input>(
  definition: StepDefinition<Tx, Input, Parsed> & { readonly receive: Side<Tx, Parsed, void> },
): DefinedStep<string> {
  const { path, receive } = definition;
  return { routes: [route(path, side(definition, ["action"], receive))], at: (base) => joined(base, path) };
}

/**
 * Validation stands inside the barrier: a payload that was refused is compensated to no effect, not refused a second
 * time.
 */
function side<Tx, Input, Parsed, Out>(
  { guard, input }: StepDefinition<Tx, Input, Parsed>,
  ops: readonly string[],
  business: Side<Tx, Parsed, Out>,
): (delivery: Delivery, payload: unknown) => Promise<BarrierResult<Out>> {
  return async (delivery, payload) => {
    if (!ops.includes(delivery.branch.op)) {
      throw new InvalidBranch(`this is the address of ${ops.join(", ")}, not of ${delivery.branch.op}`, {
        hint: "take the addresses of a step from at(base), all of them from the same step",
      });
    }
    return guard.run(delivery, async (tx) => business(tx, await validated(input, payload), delivery));
  };
}

async function validated<Input, Parsed>(
  schema: StandardSchema<Input, Parsed> | undefined,
  payload: unknown,
): Promise<Parsed> {
  // Without a schema the type is the definer's word for it.
  if (schema === undefined) return payload as Parsed;
  const result = await schema["~standard"].validate(payload);
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(({ message, path }) => ({ message, path: path?.map(segment) }));
  throw new Failure(`invalid payload: ${issues.map(({ message }) => message).join("; ")}`, { details: { issues } });
}

/** A path element as text; schemas may wrap it as `{ key }`. */
function segment(element: unknown): string {
  return String(typeof element === "object" && element !== null && "key" in element ? element.key : element);
}

function joined(base: string, path: string): string {
  if (base.startsWith("nats://")) return base + path.replaceAll("/", ".");
  if (URL.canParse(base) || /^[\w.-]+:\d+\/\w/.test(base)) return base.replace(/\/+$/, "") + path;
  throw invalidInput(`not a base URL: ${JSON.stringify(base)}`, {
    hint: "write this service's address as others reach it: http://host:port, grpc://host:port/package.Service, nats://subject",
  });
}
