/**
 * The configuration of a node: read once, checked as a whole, readonly from then on. Sources, later beats earlier
 * (D15):
 * defaults, DTM's environment names, the file, `TANDEM_` environment names, flags.
 */
import type { Defaults } from "../core/transaction.js";
import type { InputLimits } from "../wire/limits.js";
import { type ClusterConfig, clusterOf } from "./cluster.js";
import { fromFile } from "./file.js";
import { keyOf, type Path, paths, type Values } from "./keys.js";
import {
  type Environment,
  type Found,
  fromFlags,
  fromPlainEnvironment,
  fromPrefixedEnvironment,
  type Setting,
} from "./setting.js";
import { masked, type StoreChoice, type StoreTls, storeOfDriver, storeOfUrl } from "./store.js";
import { type TargetSettings, targetsOf } from "./targets.js";

/** Loads past which new work is refused or held back (architecture 6). */
export interface LoadLimits {
  readonly callsPerParticipant: number;
  readonly callsInFlight: number;
  /** 0: as many as the heap holds, at most 200,000. */
  readonly residentTransactions: number;
  /** 0: as many as the machine's memory suggests. */
  readonly residentBytes: number;
  readonly activeTransactions: number;
  readonly requestBytes: number;
}

/** Everything a node has to know. PEM texts, not files: they were read when the configuration was. */
export interface Config {
  readonly host: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  readonly adminBasePath: string;
  readonly store: StoreChoice;
  readonly retention: { readonly finishedDataMs: number; readonly finishedHeadMs: number };
  readonly defaults: Defaults;
  readonly waitResultTimeoutMs: number;
  /** Tries without a clear answer; 0 = never parked by the server. */
  readonly parkAfter: number;
  readonly strictResults: boolean;
  /** `webHook` is empty when nobody is to be told. */
  readonly alert: { readonly retryLimit: number; readonly webHook: string };
  readonly limits: { readonly input: InputLimits; readonly load: LoadLimits };
  /**
   * Trust and identity towards participants; empty = the system's authorities, no certificate. `localhostAs` is called
   * where a URL says localhost (S-BR-3), unless empty.
   */
  readonly participants: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly localhostAs: string;
    /** By "host" or "host:port"; the certificates here count alone for that participant. */
    readonly targets: Readonly<Record<string, TargetSettings>>;
  };
  readonly cluster: ClusterConfig | undefined;
  /** Of a store that several nodes may use, also by a node alone. */
  readonly leaseMs: number;
  /** Engines of a node with such a store; 0 = as the machine suggests. */
  readonly threads: number;
  readonly log: { readonly level: "debug" | "info" | "warn" | "error"; readonly outputs: readonly string[] };
}

/** What the configuration is made from. */
export interface Sources {
  readonly environment: Environment;
  readonly file?: { readonly name: string; readonly content: string } | undefined;
  readonly flags?: Partial<Readonly<Record<Path, string>>> | undefined;
  /** Reads a PEM file; throws as `readFileSync` does. */
  readonly readFile: (name: string) => string;
}

/** Every key with its value, secrets masked, and where that came from. */
export type Shown = readonly { readonly path: Path; readonly value: string; readonly origin: string }[];

/** A configuration, and what was odd about it. */
export interface Loaded {
  readonly config: Config;
  readonly warnings: readonly string[];
  readonly shown: Shown;
}

/**
 * Configuration that cannot be used; `problems` holds one line each, naming the place, what was met and what is needed.
 */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** Reads and checks everything at once. @throws ConfigError with every problem found, not only the first */
export function loadConfig(sources: Sources): Loaded {
  const layers = [
    fromPlainEnvironment(sources.environment),
    sources.file === undefined ? nothing : fromFile(sources.file.name, sources.file.content),
    fromPrefixedEnvironment(sources.environment),
    fromFlags(sources.flags ?? {}),
  ];
  const found = new Map<Path, Ranked>();
  for (const [rank, layer] of layers.entries()) {
    for (const setting of layer.settings) found.set(setting.path, { ...setting, rank });
  }
  const problems = layers.flatMap((layer) => layer.problems);
  const values = readValues(found, problems);
  const draft: Draft = { values, found, problems, readFile: sources.readFile };
  const config = assemble(draft);
  if (problems.length > 0) throw new ConfigError(problems);
  const warnings = [...layers.flatMap((layer) => layer.warnings), ...ignoredKeys(values, found)];
  return { config, warnings, shown: paths.map((path) => show(path, values, found)) };
}

const nothing: Found = { settings: [], problems: [], warnings: [] };

type Ranked = Setting & { readonly rank: number };

interface Draft {
  readonly values: Values;
  readonly found: ReadonlyMap<Path, Ranked>;
  readonly problems: string[];
  readonly readFile: (name: string) => string;
}

/** Every key's value; a text that is none is reported and its default stands in, so that checking can go on. */
function readValues(found: ReadonlyMap<Path, Setting>, problems: string[]): Values {
  const entries = paths.map((path) => {
    const key = keyOf(path);
    const setting = found.get(path);
    const value = setting === undefined ? key.fallback : key.read(setting.text);
    if (value !== undefined) return [path, value];
    const met = key.secret ? "***" : masked(setting?.text ?? "");
    problems.push(`${setting?.origin}: is '${met}'; needs ${key.needs}`);
    return [path, key.fallback];
  });
  return Object.fromEntries(entries) as Values;
}

function assemble(draft: Draft): Config {
  const v = draft.values;
  checkAddress(draft);
  checkTimes(draft);
  return {
    host: v.Host,
    httpPort: v.HttpPort,
    grpcPort: v.GrpcPort,
    adminBasePath: v.AdminBasePath,
    store: chooseStore(draft),
    retention: {
      finishedDataMs: v["Store.FinishedDataExpire"] * 1000,
      finishedHeadMs: finishedHeadExpire(draft) * 1000,
    },
    defaults: {
      timeoutToFailMs: v.TimeoutToFail * 1000,
      requestTimeoutMs: v.RequestTimeout * 1000,
      retryIntervalMs: v.RetryInterval * 1000,
    },
    waitResultTimeoutMs: v.WaitResultTimeout * 1000,
    parkAfter: v.ParkAfter,
    strictResults: v.StrictResults,
    alert: { retryLimit: v.AlertRetryLimit, webHook: v.AlertWebHook },
    limits: limitsOf(v),
    participants: {
      ca: pem(draft, "Participants.CaFile"),
      cert: pem(draft, "Participants.CertFile"),
      key: pem(draft, "Participants.KeyFile"),
      localhostAs: v["Participants.LocalhostAs"],
      targets: participantTargets(draft),
    },
    cluster: clusterOf(
      v,
      draft.problems,
      (path) => origin(draft, path),
      (path) => pem(draft, path),
    ),
    leaseMs: v["Cluster.LeaseMs"],
    threads: v.Threads,
    log: { level: v.LogLevel, outputs: v["Log.Outputs"].split(",").map((o) => o.trim()) },
  };
}

function limitsOf(v: Values): Config["limits"] {
  return {
    input: {
      bodyBytes: v["Limits.BodyBytes"],
      payloadBytes: v["Limits.PayloadBytes"],
      branches: v["Limits.Branches"],
      urlCharacters: v["Limits.UrlCharacters"],
      headers: v["Limits.Headers"],
      headerBytes: v["Limits.HeaderBytes"],
      jsonDepth: v["Limits.JsonDepth"],
      jsonValues: v["Limits.JsonValues"],
      customDataBytes: v["Limits.CustomDataBytes"],
      options: {
        requestTimeoutS: v["Limits.RequestTimeout"],
        retryIntervalS: v["Limits.RetryInterval"],
        timeoutToFailS: v["Limits.TimeoutToFail"],
        delayS: v["Limits.Delay"],
        retryLimit: v["Limits.RetryLimit"],
      },
    },
    load: {
      callsPerParticipant: v["Limits.CallsPerParticipant"],
      callsInFlight: v["Limits.CallsInFlight"],
      residentTransactions: v["Limits.ResidentTransactions"],
      residentBytes: v["Limits.ResidentBytes"],
      activeTransactions: v["Limits.ActiveTransactions"],
      requestBytes: v["Limits.RequestBytes"],
    },
  };
}

/** D16: without authentication the node serves its own machine, unless told otherwise in so many words. */
function checkAddress(draft: Draft): void {
  const { Host: host, Insecure: insecure, HttpPort: http, GrpcPort: grpc } = draft.values;
  const loopback = host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
  if (!loopback && !insecure) {
    const why = "other machines could reach it and there is no authentication yet";
    draft.problems.push(
      `${origin(draft, "Host")}: is '${host}'; ${why}: needs 127.0.0.1, or --insecure (Insecure: true)`,
    );
  }
  if (http === grpc && http !== 0) {
    draft.problems.push(`${origin(draft, "GrpcPort")}: is ${grpc}, as HttpPort; needs another port`);
  }
}

function checkTimes(draft: Draft): void {
  const v = draft.values;
  if (v.TimeoutToFail < v.RetryInterval) {
    const text = `TimeoutToFail should not be less than RetryInterval`;
    draft.problems.push(
      `${origin(draft, "TimeoutToFail")}: is ${v.TimeoutToFail}; ${text}, which is ${v.RetryInterval}`,
    );
  }
}

/** The head outlives the data; its default grows with it. Seconds. */
function finishedHeadExpire(draft: Draft): number {
  const { "Store.FinishedDataExpire": data, "Store.FinishedHeadExpire": head } = draft.values;
  if (head >= data || !draft.found.has("Store.FinishedHeadExpire")) return Math.max(head, data);
  const needs = `needs at least Store.FinishedDataExpire, which is ${data}`;
  draft.problems.push(`${origin(draft, "Store.FinishedHeadExpire")}: is ${head}; ${needs}`);
  return data;
}

/** Store.Url or DTM's keys, whichever stands in the later source; both in the same one is a contradiction. */
function chooseStore(draft: Draft): StoreChoice {
  const { values, found, problems } = draft;
  const url = found.get("Store.Url");
  const driver = found.get("Store.Driver");
  const byUrl = values["Store.Url"] !== "" && (url?.rank ?? -1) >= (driver?.rank ?? -1);
  if (byUrl && url?.rank === driver?.rank) {
    problems.push(`${url?.origin}: and ${driver?.origin} both name a store; needs one of them`);
  }
  const choice = byUrl ? storeOfUrl(values["Store.Url"], values) : storeOfDriver(values);
  const tls = storeTls(draft);
  if (!("problem" in choice)) return choice.kind === "mysql" && tls !== undefined ? { ...choice, tls } : choice;
  const place = byUrl ? `${url?.origin}: is '${masked(values["Store.Url"])}'; ` : driverOrigin(driver);
  problems.push(place + choice.problem);
  return { kind: "memory" };
}

function storeTls(draft: Draft): StoreTls | undefined {
  const [ca, cert, key] = [pem(draft, "Store.CaFile"), pem(draft, "Store.CertFile"), pem(draft, "Store.KeyFile")];
  return draft.values["Store.Tls"] || `${ca}${cert}${key}` !== "" ? { ca, cert, key } : undefined;
}

function driverOrigin(driver: Setting | undefined): string {
  return driver === undefined ? "" : `${driver.origin}: `;
}

type PemPath = Extract<Path, `${string}.${"CaFile" | "CertFile" | "KeyFile"}`>;

function pem(draft: Draft, path: PemPath): string {
  const file = draft.values[path];
  return file === "" ? "" : readPem(draft, file, origin(draft, path));
}

function readPem(draft: Draft, file: string, place: string): string {
  const content = readNamed(draft, file, place, "a PEM file");
  if (content === undefined || content.includes("-----BEGIN ")) return content ?? "";
  draft.problems.push(`${place}: '${file}' holds no PEM block; needs a PEM file`);
  return "";
}

function readNamed(draft: Draft, file: string, place: string, needs: string): string | undefined {
  try {
    return draft.readFile(file);
  } catch (error) {
    draft.problems.push(`${place}: '${file}' cannot be read (${(error as Error).message}); needs ${needs}`);
    return undefined;
  }
}

function participantTargets(draft: Draft): Readonly<Record<string, TargetSettings>> {
  const file = draft.values["Participants.TargetsFile"];
  if (file === "") return {};
  const content = readNamed(draft, file, origin(draft, "Participants.TargetsFile"), "a YAML file");
  return targetsOf(file, content ?? "", draft.problems, (name, place) => readPem(draft, name, place));
}

function origin(draft: Draft, path: Path): string {
  return draft.found.get(path)?.origin ?? `default ${path}`;
}

function ignoredKeys(values: Values, found: ReadonlyMap<Path, Setting>): readonly string[] {
  return paths.flatMap((path) => {
    const { ignored, fallback } = keyOf(path);
    const setting = found.get(path);
    if (ignored === undefined || setting === undefined || values[path] === fallback) return [];
    return [`${setting.origin}: '${setting.text}' has no effect: ${ignored}`];
  });
}

function show(path: Path, values: Values, found: ReadonlyMap<Path, Setting>) {
  const text = String(values[path]);
  const hidden = keyOf(path).secret === true && text !== "" ? "***" : masked(text);
  return { path, value: hidden, origin: found.get(path)?.origin ?? "default" };
}
