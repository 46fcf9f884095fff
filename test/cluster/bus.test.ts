/**
 * The real buses: NATS, HTTP, and the two as one. What a bus promises (ports/bus.ts), and what each does when its
 * server is away, its users differ or a message is too large.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { nkeys } from "nats";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fallbackBus } from "../../cluster/bus/fallback.js";
import { type HttpBus, httpBus } from "../../cluster/bus/http.js";
import { type NatsLine, type NatsOptions, natsBus, openNats, tokenOf } from "../../cluster/bus/nats.js";
import { systemClock } from "../../src/clock.js";
import type { Bus } from "../../src/ports/bus.js";
import type { Log } from "../../src/ports/observer.js";
import { available, makeFolder, type Server, startNats } from "../servers.js";
import { operatorMode } from "./operator.js";

const quiet: Log = { info: () => {}, warn: () => {}, error: () => {} };
const subjects = { prefix: "tandem", clusterId: "one" };

/** Waits for a condition, at most ten seconds. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Remembers what a bus hears. */
function heard(bus: Bus): string[] {
  const messages: string[] = [];
  bus.receive((message) => void messages.push(Buffer.from(message).toString()));
  return messages;
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

describe.runIf(await available("nats"))("NATS as a bus", () => {
  let server: Server;
  const lines: NatsLine[] = [];

  const line = async (over: Partial<NatsOptions> = {}) => {
    const made = openNats({ url: server.url, name: "test", ...over }, quiet, systemClock());
    lines.push(made);
    await until("connected", () => made.connection !== undefined);
    return made;
  };
  const node = async (name: string, over = subjects, missed?: (to: string) => void) => {
    const own = await line();
    const bus = natsBus(own, over, name, missed);
    await own.connection?.flush();
    return bus;
  };

  beforeAll(async () => {
    server = await startNats({ own: true });
  });
  afterEach(async () => {
    for (const one of lines.splice(0)) await one.close();
  });
  afterAll(() => server.stop());

  it("carries messages to one node, announcements to all others, whatever the names", async () => {
    const [a, b, odd] = [await node("a"), await node("b"), await node("an odd.name > *")];
    const [toA, toB, toOdd] = [heard(a), heard(b), heard(odd)];
    expect(a.send("b", bytes("for b"))).toBe(true);
    expect(b.send("an odd.name > *", bytes("for odd"))).toBe(true);
    odd.announce(bytes("for all"));
    await until("all have arrived", () => toA.length === 1 && toB.length === 2 && toOdd.length === 1);
    expect([toA, toB.sort(), toOdd]).toEqual([["for all"], ["for all", "for b"], ["for odd"]]);
    expect(tokenOf("an odd.name > *")).toMatch(/^[\w-]+$/);
  });

  it("keeps clusters of another prefix or database apart", async () => {
    const own = heard(await node("b"));
    const others = [
      heard(await node("b", { ...subjects, prefix: "other" })),
      heard(await node("b", { ...subjects, clusterId: "two" })),
    ];
    const a = await node("a");
    a.send("b", bytes("x"));
    a.announce(bytes("y"));
    await until("arrived", () => own.length === 2);
    expect(others).toEqual([[], []]);
  });

  it("says that a message is too large, and that nobody listened", async () => {
    const missed: string[] = [];
    const a = await node("a", subjects, (to) => void missed.push(to));
    expect(a.send("b", new Uint8Array((1 << 20) + 1))).toBe(false);
    expect(a.send("b", bytes("x"))).toBe(true);
    await until("told", () => missed.length === 1);
    expect(missed).toEqual(["b"]);
  });

  it("sends nothing while the server is away, starts without it, and comes back by itself", async () => {
    const a = await node("a");
    const toB = heard(await node("b"));
    server.kill("SIGKILL");
    await until("noticed", () => !a.send("b", bytes("lost")));
    const late = openNats({ url: server.url, name: "late" }, quiet, systemClock());
    lines.push(late);
    const toLate = heard(natsBus(late, subjects, "late"));
    expect(late.connection).toBeUndefined();
    await server.start();
    await until("back", () => a.send("b", bytes("again")) && toB.includes("again"));
    await until("late is there", () => a.send("late", bytes("welcome")) && toLate.includes("welcome"));
  });

  it("signs in with user and password, token and NKey; who has none of them stays outside", async () => {
    const folder = await makeFolder("nats-auth");
    const seed = nkeys.createUser();
    const nkeyFile = join(folder, "user.nk");
    await writeFile(nkeyFile, Buffer.from(seed.getSeed()));
    const cases: readonly (readonly [config: string, good: Partial<NatsOptions>, user: string])[] = [
      ['authorization { user: u, password: "p@ss" }', {}, "u:p%40ss@"],
      ['authorization { token: "secret-token" }', {}, "secret-token@"],
      [`authorization { users: [ { nkey: ${seed.getPublicKey()} } ] }`, { nkeyFile }, ""],
    ];
    for (const [config, good, user] of cases) {
      const guarded = await startNats({ config });
      try {
        const url = guarded.url.replace("//", `//${user}`);
        const welcome = await line({ url, ...good });
        expect(welcome.connection).toBeDefined();
        const stranger = openNats({ url: guarded.url, name: "stranger" }, quiet, systemClock());
        lines.push(stranger);
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(stranger.connection).toBeUndefined();
      } finally {
        for (const one of lines.splice(0)) await one.close();
        await guarded.stop();
      }
    }
  });

  it("signs in with a credentials file (JWT and seed) where an operator has signed the account, not with another's", async () => {
    const folder = await makeFolder("nats-creds");
    const { config, creds, stranger } = operatorMode();
    const [credsFile, strangersFile] = [join(folder, "node.creds"), join(folder, "stranger.creds")];
    await Promise.all([writeFile(credsFile, creds), writeFile(strangersFile, stranger)]);
    const guarded = await startNats({ config });
    try {
      const welcome = await line({ url: guarded.url, credsFile });
      const bus = natsBus(welcome, subjects, "a");
      const told = heard(natsBus(await line({ url: guarded.url, credsFile }), subjects, "b"));
      await until("heard", () => bus.send("b", bytes("x")) && told.length > 0);
      for (const other of [{ credsFile: strangersFile }, {}]) {
        const outside = openNats({ url: guarded.url, name: "stranger", ...other }, quiet, systemClock());
        lines.push(outside);
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(outside.connection).toBeUndefined();
      }
    } finally {
      for (const one of lines.splice(0)) await one.close();
      await guarded.stop();
    }
  });

  it("speaks TLS to a server of an authority of its own, and to no other", async () => {
    const folder = await makeFolder("nats-tls");
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=test", "-addext", "subjectAltName=DNS:localhost"];
    const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    await promisify(execFile)("openssl", ["req", ...kind, ...subject, "-keyout", key, "-out", cert]);
    const guarded = await startNats({ config: `tls { cert_file: "${cert}", key_file: "${key}" }` });
    try {
      const url = `tls://localhost:${guarded.port}`;
      const welcome = await line({ url, tls: { ca: await readFile(cert, "utf8") } });
      expect(welcome.connection).toBeDefined();
      const stranger = openNats({ url, name: "stranger" }, quiet, systemClock());
      lines.push(stranger);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(stranger.connection).toBeUndefined();
    } finally {
      for (const one of lines.splice(0)) await one.close();
      await guarded.stop();
    }
  });
});

describe("HTTP as a bus", () => {
  const open: HttpBus[] = [];
  const addresses = new Map<string, string>();
  const heardFrom: string[] = [];

  const node = async (name: string, secret = "s3cret") => {
    const bus = httpBus({
      self: name,
      secret,
      host: "127.0.0.1",
      port: 0,
      addressOf: (to) => addresses.get(to),
      peers: () => [...addresses.keys()].filter((peer) => peer !== name),
      heard: (from) => void heardFrom.push(from),
      log: quiet,
      clock: systemClock(),
    });
    open.push(bus);
    addresses.set(name, `http://127.0.0.1:${(await bus.listen()).port}`);
    return bus;
  };

  afterEach(async () => {
    for (const bus of open.splice(0)) await bus.close();
    addresses.clear();
    heardFrom.length = 0;
  });

  it("carries messages of many MiB, announcements to all others, and says from whom they came", async () => {
    const [a, b, c] = [await node("a"), await node("b"), await node("c")];
    const [toA, toB, toC] = [heard(a), heard(b), heard(c)];
    const large = "x".repeat(5 << 20);
    expect(a.send("b", bytes(large))).toBe(true);
    a.announce(bytes("all"));
    await until("arrived", () => toB.length === 2 && toC.length === 1);
    expect(toB.map(({ length }) => length).sort((x, y) => x - y)).toEqual([3, large.length]);
    expect(toA).toEqual([]);
    expect(new Set(heardFrom)).toEqual(new Set(["a"]));
  });

  it("refuses who does not know the secret, other paths and too much, and carries nothing to an unknown node", async () => {
    const b = await node("b");
    const toB = heard(b);
    const stranger = await node("stranger", "guess");
    stranger.send("b", bytes("x"));
    const status = (method: string, path: string, headers: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const asked = request(new URL(path, addresses.get("b")), { method, headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on("error", reject);
        asked.end();
      });
    const bearer = (secret: string) => ({ authorization: `Bearer ${Buffer.from(secret).toString("base64url")}` });
    const key = bearer("s3cret");
    expect(await status("POST", "/tandem/messages", {})).toBe(401);
    expect(await status("POST", "/tandem/messages", bearer("s3cre"))).toBe(401);
    expect(await status("POST", "/api/v1/status", key)).toBe(404);
    expect(await status("GET", "/tandem/messages", key)).toBe(404);
    expect(await status("POST", "/tandem/messages", { ...key, "content-length": String(65 << 20) })).toBe(413);
    expect(b.send("nobody", bytes("x"))).toBe(false);
    expect(toB).toEqual([]);
  });

  it("takes a secret of any characters", async () => {
    const secret = " two words, ü and … ";
    const [a, b] = [await node("a", secret), await node("b", secret)];
    const toB = heard(b);
    expect(a.send("b", bytes("x"))).toBe(true);
    await until("arrived", () => toB.length === 1);
  });

  it("carries nothing to an address that it cannot call, and goes on", async () => {
    const [a, b] = [await node("a"), await node("b")];
    const toB = heard(b);
    for (const address of ["https://127.0.0.1:1", "http://", "http://[", "nats:tandem", "", "x"]) {
      addresses.set("odd", address);
      expect(a.send("odd", bytes("x")), address).toBe(false);
      a.announce(bytes("all"));
    }
    await until("announced to the other", () => toB.length === 6);
  });
});

describe("two buses as one", () => {
  const one = (sends: boolean) => {
    const sent: string[] = [];
    const bus: Bus = {
      send: (to) => sends && sent.push(`to ${to}`) > 0,
      announce: () => void sent.push("all"),
      receive: () => {},
      close: async () => {},
    };
    return { sent, bus };
  };

  it("takes the second when the first cannot, or when its addressee seems not to hear it", () => {
    const [nats, http, away] = [one(true), one(true), one(false)];
    const both = fallbackBus(nats.bus, http.bus, systemClock(), () => true);
    both.send("a", bytes("x"));
    both.doubt("b");
    both.send("b", bytes("x"));
    both.announce(bytes("x"));
    expect([nats.sent, http.sent]).toEqual([["to a", "all"], ["to b"]]);
    const without = fallbackBus(away.bus, http.bus, systemClock(), () => false);
    expect(without.send("c", bytes("x"))).toBe(true);
    without.announce(bytes("x"));
    expect(http.sent).toEqual(["to b", "to c", "all"]);
  });
});
