/**
 * The composition root of nodes that share a database: a member of a cluster, or the only node of its database. The
 * gateways before it are those of every node.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { CliError } from "../src/cli/exit.js";
import { packageVersion } from "../src/cli/version.js";
import type { ClusterConfig } from "../src/config/cluster.js";
import type { Config, Shown } from "../src/config/config.js";
import { connectUrl, type MysqlChoice } from "../src/config/store.js";
import { createNatsGateway } from "../src/gateway/nats/gateway.js";
import type { Operations } from "../src/gateway/operations.js";
import {
  engineSettings,
  type Heart,
  type RunningNode,
  runNode,
  type Surroundings,
  startNode,
  surround,
} from "../src/node.js";
import type { Bus } from "../src/ports/bus.js";
import type { Clock } from "../src/ports/clock.js";
import { inWords, knows } from "../src/ports/format.js";
import type { ShardRow } from "../src/ports/leases.js";
import type { EngineStats } from "../src/ports/targets.js";
import { type RowFormats, rowFormats } from "../src/store/codec.js";
import { MysqlLeases } from "../src/store/mysql/leases.js";
import { agreeOnCluster } from "../src/store/mysql/meta.js";
import { type MysqlStore, migrateMysql, openMysql } from "../src/store/mysql/mysql.js";
import { urlHost } from "../src/wire/url.js";
import { fallbackBus } from "./bus/fallback.js";
import { type HttpBus, httpBus } from "./bus/http.js";
import { type NatsLine, natsBus } from "./bus/nats.js";
import { type MessageForms, messageForms } from "./codec.js";
import { counting, registerClusterGauges } from "./gauges.js";
import { createMember, type Member } from "./member.js";
import { connectNats } from "./natsline.js";
import { clusterStatus } from "./status.js";
import type { Downfall } from "./tenant.js";
import { startThreads } from "./threads.js";

/** Codes with which a process ends that must not go on (reliability 3): for supervisors, beside those of the tool. */
const fallCodes: Readonly<Record<Downfall, number>> = { usurped: 4, regressed: 5, outdated: 5 };

const fallWords: Readonly<Record<Downfall, string>> = {
  usurped: "another process runs under the name of this node",
  regressed: "the database has lost what it had committed; look at it before anybody writes to it again",
  outdated: "the other nodes write a format that this program does not know; use the program that they have",
};

/** The formats that a program knows, in its database and between its nodes: what differs in a rolling upgrade. */
export interface Build {
  readonly rows: RowFormats;
  readonly messages: MessageForms;
}

const thisBuild: Build = { rows: rowFormats, messages: messageForms };

/**
 * Starts whatever kind of node a configuration stands for. `shown` is logged. Tests of upgrades start nodes of another
 * build. @throws as `startNode`, OwnedElsewhere, SchemaError, JoinRefused
 */
export function startAnyNode(config: Config, shown: Shown = [], build: Build = thisBuild): Promise<RunningNode> {
  if (config.store.kind === "mysql") return startSharing(config, shown, config.store, build);
  if (config.cluster === undefined) return startNode(config, shown);
  throw new CliError("usage", "a cluster needs a database that its nodes share", [
    "add --store mysql://USER:PASSWORD@HOST:PORT/DB",
  ]);
}

async function startSharing(config: Config, shown: Shown, choice: MysqlChoice, build: Build): Promise<RunningNode> {
  const { cluster } = config;
  let line: NatsLine | undefined;
  const nats = cluster && { connection: () => line?.connection, prefix: cluster.prefix };
  const surroundings = surround(config, shown, nats && { nats });
  if (cluster !== undefined) line = connectNats(cluster, surroundings.log, surroundings.clock);
  try {
    if (!choice.migrateByHand) await migrateMysql(connectUrl(choice), undefined, build.rows);
    const ways = cluster && line && (await openWays(cluster, line, surroundings, connectUrl(choice)));
    return await runNode(surroundings, await share(surroundings, choice, ways, build));
  } catch (error) {
    await line?.close();
    throw error;
  }
}

/** How this node reaches the others, and is reached. */
interface Ways {
  readonly line: NatsLine;
  readonly prefix: string;
  /** Of the database, see `agreeOnCluster`. */
  readonly clusterId: string;
  readonly bus: Bus;
  /** Under which the node stands in the tables; not empty. */
  readonly address: string;
  /** Told once, when the member is made: the buses look up nodes there, and report to it. */
  bind(member: Member): void;
}

async function openWays(cluster: ClusterConfig, line: NatsLine, at: Surroundings, url: string): Promise<Ways> {
  const { node, prefix, secret } = cluster;
  const { clock, log, config } = at;
  const clusterId = await agreeOnCluster(url, config.leaseMs, prefix);
  let member: Member | undefined;
  const bind = (made: Member) => {
    member = made;
  };
  const overNats = natsBus(line, { prefix, clusterId }, node, (to) => member?.link.undelivered(to));
  if (secret === "") {
    log.warn("no_cluster_secret", { effect: "messages that NATS cannot carry wait for it" });
    return { line, prefix, clusterId, bus: overNats, address: `nats:${prefix}`, bind };
  }
  const advertised = cluster.advertise === "" ? undefined : new URL(cluster.advertise);
  const overHttp: HttpBus = httpBus({
    self: node,
    secret,
    host: config.host,
    port: advertised === undefined ? 0 : Number(advertised.port || 80),
    addressOf: (name) => member?.view.addressOf(name),
    peers: () =>
      (member?.view.nodes ?? [])
        .filter(({ name, state }) => name !== node && state !== "fenced")
        .map(({ name }) => name),
    heard: (from) => bus.doubt(from),
    log,
    clock,
  });
  const bus = fallbackBus(overNats, overHttp, clock, () => line.connection !== undefined);
  const { port } = await overHttp.listen();
  const host = config.host === "0.0.0.0" || config.host === "::" ? hostname() : config.host;
  return {
    ...{ line, prefix, clusterId, bus },
    address: advertised?.href ?? `http://${urlHost(host)}:${port}`,
    bind,
  };
}

/** Connections beside those for reading: one writes, one keeps the lease. */
const ownLines = 2;

/** Newest format that this node offers to write. @throws CliError when it is none that the program knows */
function mostAgreeable({ formatMax }: MysqlChoice, { oldest, newest }: RowFormats): number {
  if (formatMax === 0) return newest;
  if (knows({ oldest, newest }, formatMax)) return formatMax;
  const known = inWords({ oldest, newest });
  throw new CliError("usage", `Store.FormatMax is ${formatMax}, this program knows ${known}`, [
    `set it to ${known} or 0`,
  ]);
}

/** A bus for one who has nobody to talk to. */
const silence: Bus = { send: () => false, announce: () => {}, receive: () => {}, close: async () => {} };

async function share(
  at: Surroundings,
  choice: MysqlChoice,
  ways: Ways | undefined,
  { rows, messages }: Build,
): Promise<Heart> {
  const { config, callers, observer, metrics } = at;
  const log = counting(at.log);
  const name = config.cluster?.node ?? `${hostname().slice(0, 48)}-${randomBytes(4).toString("hex")}`;
  const address = ways?.address ?? "";
  const formatMax = mostAgreeable(choice, rows);
  const leases = new MysqlLeases({
    ...{ url: connectUrl(choice), timeoutMs: Math.floor(config.leaseMs / 2), log, formats: rows, formatMax },
  });
  const format = () => leases.format;
  const writers = { enlist: (id: number) => leases.enlist(id), dismiss: (id: number) => leases.dismiss(id) };
  let member: Member;
  const store: MysqlStore = await openMysql({
    url: connectUrl(choice),
    connections: Math.max(1, Math.min(8, choice.maxConnections - ownLines)),
    ...{ formats: rows, format },
    owner: {
      identity: () => ({ name, incarnation: member.keeper.incarnation }),
      bumped: (rows: readonly ShardRow[]) => member.keeper.bumped(rows),
      regressed: (what) => member.keeper.regressed(what),
    },
    ...writers,
  });
  const threads =
    rows === rowFormats // those of another build are code, which a thread cannot be given
      ? await startThreads({ config, store: choice, name }, log, {
          ...writers,
          format,
          ownAddresses: () => at.ownAddresses,
        })
      : undefined;
  const writing = { forms: messages, format };
  const ports = { store, keyValues: store, leases, bus: ways?.bus ?? silence, callers, clock: at.clock, writing };
  member = createMember(
    { ...ports, ...(threads && { employ: threads.employ }), random: Math.random, observer, log },
    engineSettings(config),
    { name, address, leaseMs: config.leaseMs },
    fall,
  );
  ways?.bind(member);
  const natsConnected = ways && (() => ways.line.connection !== undefined);
  registerClusterGauges(metrics, { member, log, killsDenied: () => leases.killsDenied, natsConnected });
  let api: { close(): Promise<void> } | undefined;
  const { engine, keeper, view, coordinator, clock } = member;
  return {
    ...{ name, coordinator, targets: engine.targets, store, keyValues: store, backup: undefined, clock },
    stats: () => statsOf(member),
    cluster: () => ({ ...clusterStatus(name, address, keeper, view), format: format() }),
    async start(operations) {
      await member.start();
      if (ways !== undefined) api = serveNats(at, ways, operations, clock);
    },
    async leave(graceMs) {
      await keeper.leave(graceMs);
      await api?.close();
    },
    close: (graceMs) => engine.close(graceMs),
    async end() {
      await threads?.end();
      await ways?.bus.close();
      await ways?.line.close();
      await Promise.all([store.close(), leases.close()]);
    },
  };
}

/** A node whose lease is over writes nothing, as one whose store is away. */
function statsOf({ engine, keeper }: Member): EngineStats {
  const stats = engine.stats();
  const storeUnavailableMs = stats.storeUnavailableMs ?? (keeper.suspended ? -keeper.remainingMs() : undefined);
  return { ...stats, storeUnavailableMs };
}

function serveNats(
  { config, log, metrics }: Surroundings,
  { line, prefix, clusterId }: Ways,
  operations: Operations,
  clock: Clock,
): { close(): Promise<void> } {
  return createNatsGateway({
    ...{ operations, limits: config.limits.input, log, clock, prefix, clusterId, metrics },
    version: packageVersion(),
    whenConnected: line.onceConnected,
  });
}

/** The process must not go on; a supervisor sees why by the code. */
function fall(why: Downfall): never {
  process.stderr.write(`tandem: ${fallWords[why]}; this process ends\n`);
  process.exit(fallCodes[why]);
}
