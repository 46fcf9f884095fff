// Branch identity from every carrier, and what is refused.
import { Metadata } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { passBarrier } from "../../src/client/barrier/core.js";
import { barrierFrom, Delivery } from "../../src/client/barrier/delivery.js";
import { quotedTable } from "../../src/client/barrier/table.js";
import { InvalidBranch } from "../../src/client/errors.js";
import { type BranchSource, readIdentity } from "../../src/client/identity.js";

const query = "gid=g%201&trans_type=saga&branch_id=01&op=action";
const ids = { gid: "g 1", transType: "saga", branchId: "01", op: "action" };

function metadata(): Metadata {
  const made = new Metadata();
  made.set("dtm-gid", "g 1");
  made.set("dtm-trans_type", "saga");
  made.set("dtm-branch_id", "01");
  made.set("dtm-op", "action");
  made.set("dtm-dtm", "");
  return made;
}

const carriers: Readonly<Record<string, BranchSource>> = {
  "a URL": new URL(`http://h/p?${query}`),
  "URL text": `http://h/p?${query}#part`,
  "a query string": query,
  URLSearchParams: new URLSearchParams(query),
  "a Fetch request": new Request(`http://h/p?${query}`),
  "a request of node, Fastify, Express or Hono": { url: `/p?${query}` },
  "gRPC metadata": metadata(),
  headers: new Headers(metadata().getMap() as Record<string, string>),
  "node's header object": metadata().getMap(),
  "members beside business data": {
    url: "http://shop",
    gid: "g 1",
    trans_type: "saga",
    branch_id: "01",
    op: "action",
    sku: 7,
  },
  "an identity": { ...ids },
};

describe("the branch of a delivery", () => {
  it.each(Object.entries(carriers))("is read from %s", (_, source) => {
    expect(readIdentity(source)).toEqual(ids);
  });

  it("has the coordinator and the phase two address where an initiator calls", () => {
    const identity = readIdentity(`${query}&dtm=http%3A%2F%2Fd%3A36789%2Fapi%2Fdtmsvr&phase2_url=http%3A%2F%2Fme%2Fxa`);
    expect(identity).toEqual({ ...ids, dtm: "http://d:36789/api/dtmsvr", phase2Url: "http://me/xa" });
  });

  it.each([
    ["", "trans_type, gid, branch_id, op"],
    ["gid=&op=action", "trans_type, gid, branch_id"],
    ["gid=g&trans_type=tcc&branch_id=01&branch_type=try", "op"],
  ])("is refused when %j carries no %s", (text, missing) => {
    expect(() => readIdentity(text)).toThrow(`the delivery carries no ${missing}`);
  });

  it.each([
    [{ ...ids, gid: "x".repeat(129) }, /gid has more than 128 characters/],
    [{ ...ids, op: "x".repeat(46), branchId: "x".repeat(129) }, /branch_id has more than 128 .*; op has more than 45/],
    [{ ...ids, gid: "a\u0000b" }, /gid has control characters/],
    [{ ...ids, branchId: "\ud800" }, /branch_id has control characters or half a surrogate pair/],
  ])("is refused with ids no row can hold: %j", (source, message) => {
    expect(() => readIdentity(source)).toThrow(InvalidBranch);
    expect(() => readIdentity(source)).toThrow(message);
  });

  it("may have 128 characters outside the basic plane", () => {
    expect(readIdentity({ ...ids, gid: "🦜".repeat(128) }).gid).toHaveLength(256);
  });

  it.each([null, undefined, 7, {}, { gid: 7 }, []])("is refused for %j without a crash", (source) => {
    expect(() => readIdentity(source as never)).toThrow(InvalidBranch);
    expect(() => barrierFrom(source as never)).toThrow(InvalidBranch);
  });
});

describe("the count of barrier calls", () => {
  it("is shared by all guards that get the same request, and new for another request with the same ids", () => {
    const request = { url: `/p?${query}` };
    expect([barrierFrom(request).nextBarrierId(), barrierFrom(request).nextBarrierId()]).toEqual(["01", "02"]);
    expect(barrierFrom({ url: request.url }).nextBarrierId()).toBe("01");
  });

  it("starts anew for plain ids, which may stand for several deliveries", () => {
    const plain = { ...ids };
    expect([barrierFrom(plain).nextBarrierId(), barrierFrom(plain).nextBarrierId()]).toEqual(["01", "01"]);
  });

  it("has two digits, then more", () => {
    const delivery = new Delivery(ids);
    const texts = Array.from({ length: 100 }, () => delivery.nextBarrierId());
    expect([texts[0], texts[8], texts[98], texts[99]]).toEqual(["01", "09", "99", "100"]);
  });

  it("takes a number of one's own once", () => {
    const delivery = new Delivery(ids);
    expect(delivery.nextBarrierId(3)).toBe("03");
    expect([delivery.nextBarrierId(), delivery.nextBarrierId()]).toEqual(["01", "02"]);
    expect(() => delivery.nextBarrierId()).toThrow(/barrier id 3 cannot be used/);
    expect(() => delivery.nextBarrierId(0)).toThrow(/cannot be used/);
  });
});

describe("the order of the barrier's inserts", () => {
  it.each([
    ["compensate", ["action(compensate)", "compensate(compensate)"]],
    ["cancel", ["try(cancel)", "cancel(cancel)"]],
    ["rollback", ["action(rollback)", "rollback(rollback)"]],
    ["action", ["action(action)"]],
    ["toString", ["toString(toString)"]],
  ])("for %s is %j: all clients of a table lock in one order", async (op, expected) => {
    const transcript: string[] = [];
    const rows = {
      insertIgnore: async (row: { op: string; reason: string }) => transcript.push(`${row.op}(${row.reason})`) > 0,
      reason: async () => undefined,
    };
    await passBarrier(rows, { ...ids, op }, "01");
    expect(transcript).toEqual(expected);
  });
});

describe("a table name", () => {
  it("is quoted part by part, and refused if it could be more than a name", () => {
    expect(quotedTable("dtm_barrier.barrier", "`")).toBe("`dtm_barrier`.`barrier`");
    for (const bad of ["", "a b", "a`b", "a.b.c", "x; drop table y", 'a"']) {
      expect(() => quotedTable(bad, "`")).toThrow(/not a table name/);
    }
  });
});
