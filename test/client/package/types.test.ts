// What the compiler knows of a user's code without being told. The statements are judged by `npm run types`; here they
// only run.

import type Libsql from "libsql";
import { describe, expectTypeOf, it } from "vitest";
import type { Delivery } from "../../../src/client/barrier/delivery.js";
import { type MemoryTx, memoryBarrier } from "../../../src/client/barrier/memory.js";
import type { SqlTx } from "../../../src/client/barrier/sql.js";
import type { SqliteBarrier, SqliteDatabase, sqliteBarrier } from "../../../src/client/barrier/sqlite.js";
import {
  type BarrierResult,
  type Client,
  createClient,
  defineStep,
  defineTccStep,
  type EarlierSteps,
  type GlobalState,
  type Saga,
  type SagaOrder,
  type SagaStep,
  type StandardSchema,
  type TccStep,
  type Workflow,
  type Workflows,
  workflow,
} from "../../../src/client/index.js";
import { DtxDelivery, DtxStep } from "../../../src/client/participant/nest.js";

interface Order {
  readonly sku: string;
  readonly count: number;
}

const guard = memoryBarrier();
const client: Client = createClient({ endpoints: ["http://127.0.0.1:1"] });
const schema = {} as StandardSchema<{ readonly sku: string; readonly count: string }, Order>;

describe("types of steps", () => {
  it("come from the schema: callers give its input, handlers get its output", () => {
    const step = defineStep({
      ...{ path: "/reserve", guard, input: schema },
      action: async (tx, order) => {
        expectTypeOf(tx).toEqualTypeOf<MemoryTx>();
        expectTypeOf(order).toEqualTypeOf<Order>();
        return 1;
      },
      compensate: async (_tx, order) => {
        expectTypeOf(order).toEqualTypeOf<Order>();
      },
    });
    expectTypeOf(step.at("http://h")).toEqualTypeOf<SagaStep<{ readonly sku: string; readonly count: string }>>();
  });

  it("give a tcc's caller the value of the try", () => {
    const hold = defineTccStep<MemoryTx, { readonly left: number }, Order>({
      ...{ path: "/hold", guard },
      try: async () => ({ left: 1 }),
      confirm: async () => {},
      cancel: async () => {},
    }).at("http://h");
    expectTypeOf(hold).toEqualTypeOf<TccStep<Order, { readonly left: number }>>();
    expectTypeOf(() => client.tcc((t) => t.call(hold, { sku: "a", count: 1 }))).returns.toEqualTypeOf<
      Promise<{ readonly left: number }>
    >();
  });

  it("let a saga take the step's payload only", () => {
    const step = {} as SagaStep<Order>;
    const saga = {} as Saga;
    expectTypeOf<Parameters<typeof saga.step<Order>>>().toEqualTypeOf<[step: SagaStep<Order>, payload: Order]>();
    expectTypeOf(step).not.toExtend<SagaStep<string>>();
    expectTypeOf(saga.submit).returns.toEqualTypeOf<Promise<GlobalState>>();
  });
});

describe("types of a saga's order", () => {
  const saga = {} as Saga;
  type Fits<Order extends SagaOrder> = Order extends EarlierSteps<Order> ? true : false;

  it("let a step wait for earlier ones, and no other be written", () => {
    expectTypeOf(saga.parallel).toBeCallableWith();
    expectTypeOf(saga.parallel).toBeCallableWith({});
    expectTypeOf(() => saga.parallel({ 1: [0], 2: [], 12: [0, 11], 99: [98] })).returns.toEqualTypeOf<Saga>();
    expectTypeOf<Fits<{ 1: [0]; 12: [0, 11]; 99: [98] }>>().toEqualTypeOf<true>();
    expectTypeOf<Fits<{ 0: [] }>>().toEqualTypeOf<true>();
    expectTypeOf<Fits<{ 0: [1] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ 1: [1] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ 1: [0]; 2: [0, 3] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ 2: [-1] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ 2: [0.5] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ 1.5: [0] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ [-1]: [0] }>>().toEqualTypeOf<false>();
    expectTypeOf<Fits<{ 1: ["0"] } & SagaOrder>>().toEqualTypeOf<false>();
  });

  it("take one that is computed, which is checked when it is submitted", () => {
    const computed = Object.fromEntries([3, 4].map((step) => [step, [step - 1]]));
    expectTypeOf(() => saga.parallel(computed)).returns.toEqualTypeOf<Saga>();
    expectTypeOf(() => saga.parallel({} as SagaOrder)).returns.toEqualTypeOf<Saga>();
    const before = [0, 1].map((step) => step);
    expectTypeOf(() => saga.parallel({ 2: before })).returns.toEqualTypeOf<Saga>();
    expectTypeOf(() => saga.parallel({ 1000: [999] })).returns.toEqualTypeOf<Saga>();
    const wanted = before.length > 1 ? ({ 1: [0] } as const) : undefined;
    expectTypeOf(() => saga.parallel(wanted)).returns.toEqualTypeOf<Saga>();
  });
});

describe("types of workflows", () => {
  it("carry input and result from the handler to whoever executes it", () => {
    const buy = workflow("buy", async (flow, order: Order) => {
      const fee = await flow.step("fee", () => order.count * 2);
      expectTypeOf(fee).toEqualTypeOf<number>();
      const both = await Promise.all([flow.step("a", () => "a"), flow.step("b", { run: async () => 1 })]);
      expectTypeOf(both).toEqualTypeOf<[string, number]>();
      const lost = await flow.tx("book", guard, { run: async () => true });
      expectTypeOf(lost).toEqualTypeOf<boolean | undefined>();
      const kept = await flow.tx("keep", guard, { run: async () => true, recall: async () => true });
      expectTypeOf(kept).toEqualTypeOf<boolean>();
      return { fee };
    });
    expectTypeOf(buy).toEqualTypeOf<Workflow<Order, { fee: number }>>();
    const flows = {} as Workflows;
    const run = () => flows.execute(buy, {}, { sku: "a", count: 1 });
    expectTypeOf(run).returns.toEqualTypeOf<Promise<{ fee: number }>>();
  });
});

/** As @types/node 24 declares them; those of the oldest supported Node have no SQLite. */
declare class DatabaseSync {
  exec(sql: string): void;
  prepare(sql: string): StatementSync;
}
type Supported = null | number | bigint | string | NodeJS.ArrayBufferView;
declare class StatementSync {
  all(...anonymous: Supported[]): Record<string, Supported>[];
  all(named: Record<string, Supported>, ...anonymous: Supported[]): Record<string, Supported>[];
  run(...anonymous: Supported[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  run(
    named: Record<string, Supported>,
    ...anonymous: Supported[]
  ): {
    changes: number | bigint;
    lastInsertRowid: number | bigint;
  };
}

/** As @types/better-sqlite3 declares it. */
declare class BetterSqlite {
  exec(source: string): this;
  prepare<B extends unknown[] | NonNullable<unknown> = unknown[], R = unknown>(
    source: string,
  ): B extends unknown[] ? BetterStatement<B, R> : BetterStatement<[B], R>;
}
declare class BetterStatement<B extends unknown[], R> {
  run(...params: B): { changes: number; lastInsertRowid: number | bigint };
  all(...params: B): R[];
}

describe("types of steps in Nest", () => {
  it("are decorators, and hand over a delivery that a guard takes", () => {
    expectTypeOf(DtxStep).returns.toEqualTypeOf<MethodDecorator>();
    expectTypeOf(DtxDelivery).returns.toEqualTypeOf<ParameterDecorator>();
    expectTypeOf<Delivery>().toExtend<Parameters<typeof guard.run>[0]>();
  });
});

describe("types of barriers and ends", () => {
  it("take the connections of SQLite's drivers, and hand business code the same", () => {
    expectTypeOf<DatabaseSync>().toExtend<SqliteDatabase>();
    expectTypeOf<BetterSqlite>().toExtend<SqliteDatabase>();
    expectTypeOf<Libsql.Database>().toExtend<SqliteDatabase>();
    expectTypeOf<typeof sqliteBarrier<DatabaseSync>>().returns.toEqualTypeOf<SqliteBarrier<DatabaseSync>>();
    expectTypeOf<SqlTx>().not.toExtend<SqliteDatabase>();
    expectTypeOf<{ prepare(sql: string): unknown }>().not.toExtend<SqliteDatabase>();
  });

  it("make a handler look before it takes a value", () => {
    const run = () => guard.run({ url: "?" }, async () => 5);
    expectTypeOf(run).returns.toEqualTypeOf<Promise<BarrierResult<number>>>();
    expectTypeOf<BarrierResult<number>>().not.toHaveProperty("value");
    expectTypeOf<Extract<GlobalState, { status: "failed" }>>().toHaveProperty("reason");
  });
});
