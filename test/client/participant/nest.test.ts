// Steps in a real Nest application, on Express: what the coordinator sends is understood, what it understands is
// answered, through the application's own guards and pipes.

import "reflect-metadata";
import {
  BadRequestException,
  Body,
  type CanActivate,
  ConflictException,
  Controller,
  Get,
  type INestApplication,
  Inject,
  Injectable,
  Module,
  ParseIntPipe,
  Req,
  UseFilters,
  UseGuards,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Delivery } from "../../../src/client/barrier/delivery.js";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import { currentDelivery, Failure, Ongoing } from "../../../src/client/index.js";
import { DtxDelivery, DtxFilter, DtxStep } from "../../../src/client/participant/nest.js";

const db = memoryBarrier();
const told: string[] = [];
const options = { onError: (message: string) => void told.push(message) };

@Injectable()
class Bank {
  readonly name = "bank";
}

class Locked implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Controller("bank")
class BankController {
  @Inject(Bank) readonly bank!: Bank;

  @DtxStep("pay", options)
  async pay(@DtxDelivery() delivery: Delivery, @Body() body: unknown) {
    return db.run(delivery, async () => ({ by: this.bank.name, op: delivery.branch.op, body }));
  }

  @DtxStep("refund", options)
  async refund(@Req() request: { readonly url: string }) {
    return db.run(request, async () => {
      throw new Failure("I will not");
    });
  }

  @DtxStep("refuse", options)
  async refuse() {
    throw new Failure("no money", { details: { left: 1 } });
  }

  @DtxStep("later", options)
  async later() {
    throw new Ongoing("soon");
  }

  @DtxStep("broken", options)
  async broken() {
    throw new Error("oops");
  }

  @DtxStep("conflict", options)
  async conflict() {
    throw new ConflictException("of Nest's own");
  }

  @DtxStep("returned", options)
  async returned() {
    return new Failure("returned, not thrown");
  }

  @DtxStep("word", options)
  async word() {
    return { state: "FAILURE and ONGOING" };
  }

  @DtxStep("odd", options)
  async odd() {
    return { amount: 1n };
  }

  @DtxStep("nothing", options)
  async nothing() {}

  @DtxStep("context", options)
  async context() {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return { gid: currentDelivery()?.branch.gid };
  }

  @DtxStep("locked", options)
  @UseGuards(Locked)
  async locked() {
    return "unlocked";
  }

  @DtxStep("piped", options)
  async piped(@Body("n", new ParseIntPipe({ exceptionFactory: (text) => new Failure(text) })) n: number) {
    return { n };
  }

  @Get("plain")
  plain() {
    throw new BadRequestException("as Nest says it");
  }

  @Get("filtered")
  @UseFilters(new DtxFilter(options))
  filtered() {
    throw new Failure("no");
  }
}

@Module({ controllers: [BankController], providers: [Bank] })
class BankModule {}

let count = 0;
const query = (op = "action") => `gid=nest-${count++}&trans_type=saga&branch_id=01&op=${op}`;

describe("steps in a Nest application", () => {
  let app: INestApplication;
  let url: string;
  beforeAll(async () => {
    app = await NestFactory.create(BankModule, { logger: false });
    await app.listen(0, "127.0.0.1");
    url = await app.getUrl();
  });
  afterAll(() => app?.close());

  const call = async (path: string, body?: object) => {
    const headers = { "content-type": "application/json" };
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers };
    const response = await fetch(`${url}/bank/${path}`, init);
    const text = await response.text();
    return { status: response.status, text, body: JSON.parse(text) as unknown };
  };

  it("get branch and payload, and answer the value with 200 exactly, to POST and to GET", async () => {
    const ids = query();
    const paid = await call(`pay?${ids}`, { cents: 500 });
    expect(paid).toMatchObject({ status: 200, body: { by: "bank", op: "action", body: { cents: 500 } } });
    expect(await call(`pay?${ids}`, { cents: 500 })).toMatchObject({ status: 200, body: { dtm_result: "SUCCESS" } });
    expect(await call(`pay?${query()}`)).toMatchObject({ status: 200, body: { op: "action" } });
    expect(await call(`nothing?${query()}`, {})).toMatchObject({ status: 200, body: { dtm_result: "SUCCESS" } });
  });

  it("answer refusal, delay and breakdown with 409, 425 and 500", async () => {
    expect(await call(`refuse?${query()}`, {})).toMatchObject({
      ...{ status: 409, body: { dtm_result: "FAILURE", error: "no money FAILURE", details: { left: 1 } } },
    });
    expect(await call(`later?${query()}`, {})).toMatchObject({ status: 425, body: { dtm_result: "ONGOING" } });
    expect(await call(`broken?${query()}`, {})).toMatchObject({ status: 500, body: { error: "oops" } });
  });

  it("do not take Nest's own exceptions, whatever their status, nor a closed guard, for a refusal", async () => {
    expect((await call(`conflict?${query()}`, {})).status).toBe(500);
    expect((await call(`locked?${query()}`, {})).status).toBe(500);
  });

  it("take a Failure for a refusal that is returned instead of thrown, or thrown by a pipe", async () => {
    expect((await call(`returned?${query()}`, {})).status).toBe(409);
    expect((await call(`piped?${query()}`, { n: "x" })).status).toBe(409);
    expect(await call(`piped?${query()}`, { n: "7" })).toMatchObject({ status: 200, body: { n: 7 } });
  });

  it("cannot refuse a compensation: that is an error, which somebody is told of", async () => {
    const gid = `nest-undo-${count++}`;
    const branch = `gid=${gid}&trans_type=saga&branch_id=01`;
    await call(`pay?${branch}&op=action`, {});
    told.length = 0;
    const answer = await call(`refund?${branch}&op=compensate`, {});
    expect(answer).toMatchObject({ status: 500, body: { error: expect.stringContaining("It cannot refuse") } });
    expect(told).toEqual([expect.stringMatching(`^compensate of ${gid}/01 at /bank/refund: `)]);
  });

  it("write no FAILURE or ONGOING into a success, where coordinators would read it as such", async () => {
    const { status, text, body } = await call(`word?${query()}`, {});
    expect([status, /FAILURE|ONGOING/.test(text), body]).toEqual([200, false, { state: "FAILURE and ONGOING" }]);
  });

  it("answer an error where the value is no JSON, or the call names no branch", async () => {
    expect(await call(`odd?${query()}`, {})).toMatchObject({
      ...{ status: 500, body: { hint: expect.stringContaining("BigInt") } },
    });
    expect(await call("pay", {})).toMatchObject({ status: 400, body: { error: expect.stringContaining("gid") } });
  });

  it("know their branch anywhere inside the method", async () => {
    expect((await call(`context?${query()}`, {})).body).toEqual({ gid: `nest-${count - 1}` });
  });

  it("leave other routes to Nest, and the filter alone to whoever wants it", async () => {
    expect(await call("plain")).toMatchObject({ status: 400, body: { message: "as Nest says it", statusCode: 400 } });
    expect((await call(`filtered?${query()}`)).status).toBe(409);
  });
});
