/**
 * Random lives of a transaction: a submission, then requests, time, answers in any order and crashes; finally everybody
 * recovers. A plan is plain data, so that a failing one shrinks and prints.
 */
import fc from "fast-check";
import type { Request } from "../../src/core/input.js";
import { CHECK, isFinal, type Outcome, type TransType, transTypes } from "../../src/core/transaction.js";
import { type CrashPoint, Driver, type Script } from "./driver.js";
import { abort, prepare, prepareWorkflow, register, sagaSteps, submit, type Wanted } from "./submissions.js";

/** One thing that happens in a history. */
export type Happening =
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "step"; readonly crash: CrashPoint | undefined }
  /** The answer to some call in flight comes before all others. */
  | { readonly kind: "overtake"; readonly pick: number }
  | { readonly kind: "request"; readonly request: Request; readonly crash: CrashPoint | undefined }
  | { readonly kind: "crash" };

/** A history before it is played. */
export interface Plan {
  readonly type: TransType;
  readonly first: Request;
  readonly happenings: readonly Happening[];
  /** What participants answer, call by call, until they recover. */
  readonly outcomes: readonly Outcome[];
  readonly delaysMs: readonly number[];
  readonly jitters: readonly number[];
  readonly parkAfter: number;
}

const second = 1000;
const crashPoint = fc.option(fc.constantFrom<CrashPoint>("before commit", "after commit"), { nil: undefined, freq: 6 });

const options = fc.record({
  waitResult: fc.boolean(),
  timeoutToFailS: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
  retryIntervalS: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
  retryLimit: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
  concurrent: fc.boolean(),
});

/** Predecessors are earlier steps, so there is no cycle. */
const orders = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 3 })), { maxLength: 4 })
  .map((pairs) => {
    const found: Record<string, number[]> = {};
    for (const [step, before] of pairs) if (before < step) found[step] = [...(found[step] ?? []), before];
    return found;
  });

const sagaData = fc
  .record({ concurrent: fc.boolean(), orders })
  .map(({ concurrent, orders: found }) => JSON.stringify({ concurrent, orders: found }));

const steps = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 5, size: "max" }).map((given) =>
  sagaSteps(given.length).map((step, i) => ({
    ...step,
    action: given[i]![0] || given[i]![1] ? step.action : "",
    compensate: given[i]![1] ? step.compensate : "",
  })),
);

/** What a client of that type may send first; further requests repeat it or not. */
export function firstRequest(type: TransType): fc.Arbitrary<Request> {
  const wanted = fc.record({
    options,
    steps: type === "saga" || type === "msg" ? steps : fc.constant([]),
    customData: customData(type),
    queryPrepared: type === "msg" ? fc.constantFrom("", "http://busi/query") : fc.constant("http://busi/resume"),
    digest: fc.constant("digest-1"),
  });
  return wanted.chain((given: Wanted) => {
    if (type === "workflow") return fc.constant(prepareWorkflow(given));
    if (type === "tcc" || type === "xa") return fc.constant(prepare(type, given));
    return fc.constantFrom(submit(type, given), prepare(type, given));
  });
}

function customData(type: TransType): fc.Arbitrary<string> {
  if (type === "saga") return sagaData;
  if (type === "msg") return fc.constantFrom("", `{"delay":5}`, `{"Delay":90}`);
  return fc.constant(type === "workflow" ? `{"name":"wf","data":"e30="}` : "");
}

function furtherRequest(type: TransType, first: Request): fc.Arbitrary<Request> {
  const again = "submission" in first ? first.submission : undefined;
  const ordinary: Request[] = [
    { kind: "query" },
    { kind: "await", of: "submit" },
    { kind: "hasten", bulk: false },
    { kind: "hasten", bulk: true },
    { kind: "unpark" },
    abort(type, "client says no"),
    abort(type === "tcc" ? "xa" : "tcc", "wrong type"),
  ];
  if (again !== undefined && type !== "workflow") {
    ordinary.push({ kind: "submit", submission: again }, { kind: "submit", submission: { ...again, digest: "other" } });
    ordinary.push(
      { kind: "prepare", submission: again },
      submit(type === "msg" ? "saga" : "msg", { digest: "digest-1" }),
    );
  }
  if (type === "workflow") {
    ordinary.push(first, { kind: "finishWorkflow", status: "succeed", reason: "", result: "cmVz" });
    ordinary.push({ kind: "finishWorkflow", status: "failed", reason: "no stock", result: "" });
  }
  if (type !== "saga" && type !== "msg")
    for (const branch of ["01", "02", "0201"]) ordinary.push(register(type, branch), register(type, branch, "other"));
  const rare: Request[] = [{ kind: "forceStop" }, { kind: "park", by: "op", reason: "look into it" }];
  return fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...ordinary) },
    { weight: 1, arbitrary: fc.constantFrom(...rare) },
  );
}

function happening(type: TransType, first: Request): fc.Arbitrary<Happening> {
  const request = fc.record({
    kind: fc.constant("request" as const),
    request: furtherRequest(type, first),
    crash: crashPoint,
  });
  const step = fc.record({ kind: fc.constant("step" as const), crash: crashPoint });
  const overtake = fc.record({ kind: fc.constant("overtake" as const), pick: fc.nat({ max: 7 }) });
  const pass = fc.record({
    kind: fc.constant("pass" as const),
    ms: fc.constantFrom(1, 10, second, 9 * second, 40 * second),
  });
  return fc.oneof(
    { weight: 6, arbitrary: step },
    { weight: 3, arbitrary: overtake },
    { weight: 4, arbitrary: request },
    { weight: 2, arbitrary: pass },
    { weight: 1, arbitrary: fc.constant({ kind: "crash" as const }) },
  );
}

/** Any history of one of these types. */
export function plans(types: readonly TransType[] = transTypes): fc.Arbitrary<Plan> {
  return fc.constantFrom(...types).chain((type) =>
    firstRequest(type).chain((first) =>
      fc.record({
        type: fc.constant(type),
        first: fc.constant(first),
        happenings: fc.array(happening(type, first), { minLength: 2, maxLength: 30, size: "max" }),
        outcomes: fc.array(
          fc.oneof(
            { weight: 3, arbitrary: fc.constant<Outcome>("success") },
            { weight: 1, arbitrary: fc.constantFrom<Outcome>("failure", "unknown", "ongoing") },
          ),
          { minLength: 1, maxLength: 12 },
        ),
        delaysMs: fc.array(fc.constantFrom(1, 10, 100, 2900), { minLength: 1, maxLength: 5 }),
        jitters: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 5 }),
        parkAfter: fc.constantFrom(0, 0, 0, 3),
      }),
    ),
  );
}

/** Plays a plan as far as it goes; participants have not recovered yet. */
export function play(plan: Plan): Driver {
  let calls = 0;
  let rolls = 0;
  const script: Script = () => {
    const outcome = plan.outcomes[calls % plan.outcomes.length]!;
    const afterMs = plan.delaysMs[calls % plan.delaysMs.length]!;
    calls += 1;
    return { outcome, detail: `${outcome} ${calls}`, afterMs };
  };
  const jitter = () => plan.jitters[rolls++ % plan.jitters.length]!;
  const driver = new Driver({ script, jitter, parkAfter: plan.parkAfter });
  driver.apply(plan.first);
  for (const what of plan.happenings) happen(driver, what);
  return driver;
}

function happen(driver: Driver, what: Happening): void {
  switch (what.kind) {
    case "pass":
      driver.pass(what.ms);
      return;
    case "step":
      driver.step(undefined, what.crash);
      return;
    case "overtake": {
      const op = driver.onTheWire[what.pick % Math.max(1, driver.onTheWire.length)];
      if (op !== undefined) driver.answer(op);
      return;
    }
    case "request":
      driver.apply(what.request, what.crash);
      return;
    case "crash":
      driver.crash();
  }
}

/** Everybody does what is asked from now on; executors report their end when they are called back. */
export function recover(driver: Driver): void {
  const end: Request = { kind: "finishWorkflow", status: "succeed", reason: "", result: "ZW5k" };
  driver.script = ({ op }, tx) =>
    op === CHECK && tx.type === "workflow" ? { outcome: "success", request: end } : { outcome: "success" };
  driver.apply({ kind: "unpark" });
  for (let steps = 0; steps < 500 && driver.tx !== undefined && !isFinal(driver.tx); steps++) {
    driver.apply({ kind: "unpark" });
    if (!driver.step()) return;
  }
}
