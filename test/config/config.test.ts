// The configuration: who beats whom, what every bad value is told, what DTM's names mean.
import { describe, expect, it } from "vitest";
import { ConfigError, loadConfig, type Sources } from "../../src/config/config.js";
import { environmentName, keyOf, type Path, paths } from "../../src/config/keys.js";
import { inputLimits } from "../../src/wire/limits.js";

const certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/** Files of single participants, good and bad. */
const targetFiles: Readonly<Record<string, string>> = {
  "targets.yml": "Bank.example:8443:\n  CaFile: ca.pem\n'[::1]':\n  CertFile: ca.pem\n  KeyFile: ca.pem\n",
  "headers.yml":
    "bank.example:\n  Headers:\n    Authorization: Bearer a:b\n    x-a: '1'\nnow.example:\n  CaFile: ca.pem\n  Headers: { a: b }\n",
  "badheaders.yml":
    "a.example:\n  Headers: x\nb.example:\n  Headers: { a: 1 }\nc.example:\n  Headers:\n    host: x\nd.example:\n  Headers: { a: ä }\n",
  "broken.yml": "a: [",
  "list.yml": "- bank.example",
  "names.yml": "https://bank.example/x:\n  CaFile: ca.pem\nbank.example: ca.pem\n",
  "keys.yml": "bank.example:\n  CaFil: ca.pem\n  KeyFile:\n  CertFile: no.pem\n",
};

interface Given {
  readonly environment?: Sources["environment"];
  readonly file?: string;
  readonly flags?: Sources["flags"];
}

function load({ environment = {}, file, flags }: Given) {
  const readFile = (name: string) => {
    if (name === "ca.pem") return certificate;
    if (name === "empty.pem") return "";
    if (name in targetFiles) return targetFiles[name]!;
    throw new Error(`ENOENT: no such file, open '${name}'`);
  };
  return loadConfig({
    environment,
    file: file === undefined ? undefined : { name: "conf.yml", content: file },
    flags,
    readFile,
  });
}

function problemsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("configuration", () => {
  it("needs nothing: DTM's ports and times, loopback, the embedded store", () => {
    const { config, warnings } = load({});
    expect(config).toMatchObject({
      host: "127.0.0.1",
      httpPort: 36789,
      grpcPort: 36790,
      store: { kind: "lmdb", dir: "tandem-data" },
      retention: { finishedDataMs: 7 * 86_400_000, finishedHeadMs: 30 * 86_400_000 },
      defaults: { timeoutToFailMs: 35_000, requestTimeoutMs: 3000, retryIntervalMs: 10_000 },
      waitResultTimeoutMs: 20_000,
      parkAfter: 0,
      strictResults: false,
      alert: { retryLimit: 3, webHook: "" },
      participants: { ca: "", cert: "", key: "", localhostAs: "", targets: {} },
      cluster: undefined,
      log: { level: "info", outputs: ["stderr"] },
    });
    expect(warnings).toEqual([]);
  });

  it("has certificates of single participants from a file of their own", () => {
    const { config } = load({ file: "Participants: { TargetsFile: targets.yml }" });
    expect(config.participants.targets).toEqual({
      "bank.example:8443": { tls: { ca: certificate } },
      "[::1]": { tls: { cert: certificate, key: certificate } },
    });
    const problems = (name: string) => problemsOf({ file: `Participants: { TargetsFile: ${name} }` }).join("\n");
    expect(problems("none.yml")).toMatch(/conf.yml:1: Participants.TargetsFile: 'none.yml' cannot be read .*ENOENT/);
    expect(problems("broken.yml")).toMatch(/^broken.yml:1: /);
    expect(problems("list.yml")).toMatch(/^list.yml:1: is no mapping/);
    expect(problems("names.yml")).toMatch(
      /^names.yml:1: https:.*: is no participant; .*\nnames.yml:3: bank.example: needs CaFile, CertFile, KeyFile, Headers below it/,
    );
    expect(problems("keys.yml")).toMatch(
      /CaFil: no such key; did you mean CaFile\?\n.*KeyFile: needs the name of a PEM file\n.*CertFile: 'no.pem' cannot/,
    );
  });

  it("has headers of single participants from the same file, which say nothing about their certificates", () => {
    const { config } = load({ file: "Participants: { TargetsFile: headers.yml }" });
    expect(config.participants.targets).toEqual({
      "bank.example": { headers: { Authorization: "Bearer a:b", "x-a": "1" } },
      "now.example": { tls: { ca: certificate }, headers: { a: "b" } },
    });
    expect(problemsOf({ file: "Participants: { TargetsFile: badheaders.yml }" })).toEqual([
      "badheaders.yml:1: a.example: Headers: needs a text; numbers and the like in quotes",
      "badheaders.yml:3: b.example: Headers: a: needs a text; numbers and the like in quotes",
      expect.stringMatching(/^badheaders.yml:5: c.example: Headers: headers: 'host' met/),
      expect.stringMatching(/^badheaders.yml:8: d.example: Headers: headers 'a': a control or non-ASCII/),
    ]);
  });

  it("has the limits that clients can rely on", () => {
    expect(load({}).config.limits.input).toEqual(inputLimits);
    const file = "Limits: { Delay: 60, RetryLimit: 5 }";
    expect(load({ file }).config.limits.input.options).toEqual({ ...inputLimits.options, delayS: 60, retryLimit: 5 });
  });

  it("lets a later source beat an earlier one: default, DTM's names, file, prefixed names, flags", () => {
    const flags = { HttpPort: "5" };
    const environment = { HTTP_PORT: "2", TANDEM_HTTP_PORT: "4" };
    expect(load({}).config.httpPort).toBe(36_789);
    expect(load({ environment: { HTTP_PORT: "2" } }).config.httpPort).toBe(2);
    expect(load({ environment: { HTTP_PORT: "2" }, file: "HttpPort: 3" }).config.httpPort).toBe(3);
    expect(load({ environment, file: "HttpPort: 3" }).config.httpPort).toBe(4);
    expect(load({ environment, file: "HttpPort: 3", flags }).config.httpPort).toBe(5);
  });

  it("makes DTM's environment names from paths as DTM does", () => {
    expect(environmentName("Store.MaxOpenConns")).toBe("STORE_MAX_OPEN_CONNS");
    expect(environmentName("MicroService.EndPoint")).toBe("MICRO_SERVICE_END_POINT");
    expect(environmentName("HttpPort")).toBe("HTTP_PORT");
    expect(environmentName("Log.RotationConfigJSON")).toBe("LOG_ROTATION_CONFIG_JSON");
    expect(environmentName("JsonRpcPort")).toBe("JSON_RPC_PORT");
  });

  it("has no two keys with one environment name", () => {
    expect(new Set(paths.map(environmentName)).size).toBe(paths.length);
  });

  it("accepts its own defaults when they are written down, for every key", () => {
    for (const path of paths) {
      const { read, fallback } = keyOf(path);
      expect(read(String(fallback)), path).toBe(fallback);
    }
  });

  it("reads a file as DTM users have it, quoted numbers and empty sections included", () => {
    const file = [
      "# ours",
      "Store:",
      "  Driver: 'mysql'",
      "  Host: 'db.local'",
      "  User: 'root'",
      "  Password: 'p@ss/w:rd'",
      "  Port: '3306'",
      "MicroService:",
      "TimeoutToFail: 40 # seconds",
      "LogLevel: 'debug'",
    ].join("\n");
    const { config } = load({ file });
    const url = "mysql://root:p%40ss%2Fw%3Ard@db.local:3306/dtm";
    expect(config.store).toMatchObject({ kind: "mysql", url, maxConnections: 500 });
    expect(config.defaults.timeoutToFailMs).toBe(40_000);
    expect(config.log.level).toBe("debug");
  });

  it("takes DTM's compose environment as it stands", () => {
    const environment = {
      STORE_DRIVER: "mysql",
      STORE_HOST: "mysql",
      STORE_USER: "root",
      STORE_PASSWORD: "",
      STORE_PORT: "3306",
      PATH: "/bin",
    };
    expect(load({ environment }).config.store).toMatchObject({ kind: "mysql", url: "mysql://root@mysql:3306/dtm" });
  });

  it("calls the host instead of localhost where DTM's IS_DOCKER is set", () => {
    expect(load({ environment: { IS_DOCKER: "1" } }).config.participants.localhostAs).toBe("host.docker.internal");
  });

  it("reads the three forms of a store", () => {
    const store = (url: string) => load({ flags: { "Store.Url": url } }).config.store;
    expect(store("memory:")).toEqual({ kind: "memory" });
    expect(store("lmdb:/var/lib/tandem")).toEqual({ kind: "lmdb", dir: "/var/lib/tandem" });
    expect(store("mysql://u:p@h:3306/d")).toMatchObject({ kind: "mysql", url: "mysql://u:p@h:3306/d" });
  });

  it("takes the store of the later source, whether it is a URL or DTM's driver", () => {
    const file = "Store: { Url: 'memory:' }";
    expect(load({ environment: { STORE_DRIVER: "boltdb" }, file }).config.store.kind).toBe("memory");
    expect(load({ environment: { TANDEM_STORE_DRIVER: "boltdb" }, file }).config.store.kind).toBe("lmdb");
  });

  it("keeps the head of a finished transaction at least as long as its data", () => {
    const { retention } = load({ file: "Store: { FinishedDataExpire: 8640000 }" }).config;
    expect(retention).toEqual({ finishedDataMs: 8_640_000_000, finishedHeadMs: 8_640_000_000 });
  });

  it("reads files of certificates at once", () => {
    expect(load({ file: "Participants: { CaFile: ca.pem }" }).config.participants.ca).toBe(certificate);
  });

  it("keeps what a cluster needs", () => {
    const flags = { "Cluster.Url": "nats://n:4222", "Cluster.Node": "a", "Cluster.Advertise": "http://a:1" };
    const cluster = { url: "nats://n:4222", node: "a", advertise: "http://a:1" };
    expect(load({ flags }).config.cluster).toMatchObject(cluster);
  });

  it("S-BUG-24: never shows a password: not in the list of keys, not in a complaint", () => {
    const environment = {
      STORE_PASSWORD: "hunter2",
      TANDEM_CLUSTER_URL: "nats://u:hunter2@h",
      TANDEM_CLUSTER_NODE: "n",
    };
    expect(JSON.stringify(load({ environment }).shown)).not.toContain("hunter2");
    const bad = [
      ...problemsOf({ flags: { "Store.Url": "mysql://u:hunter2@h:1" } }),
      ...problemsOf({ flags: { "Store.Url": "postgres://u:hun@ter2:hunter2@h/x/y" } }),
      ...problemsOf({ environment: { STORE_PASSWORD: "hunter2\n" } }),
      ...problemsOf({ flags: { "Cluster.Url": "amqp://u:hunter2@h" } }),
    ];
    expect(bad).toHaveLength(4);
    expect(bad.join()).not.toMatch(/hunter2|hun@/);
  });

  it("warns of keys that DTM has and that do nothing here, when they are not as they were", () => {
    const file = "UpdateBranchSync: 0\nTransCronInterval: 3\nConfigUpdateInterval: 10";
    const { warnings } = load({ file });
    expect(warnings).toHaveLength(2);
    expect(warnings.join("\n")).toMatch(/conf.yml:1: UpdateBranchSync: '0' has no effect: there is one durability/);
  });

  it("warns of an unknown prefixed name, but not of what Kubernetes or the tools add", () => {
    const environment = {
      TANDEM_HTPP_PORT: "1",
      TANDEM_SERVICE_HOST: "10.0.0.1",
      TANDEM_PORT_36789_TCP: "tcp://10.0.0.1:36789",
      TANDEM_PORT: "tcp://10.0.0.1:36789",
      TANDEM_URL: "http://127.0.0.1:36789",
    };
    const { warnings } = load({ environment });
    expect(warnings).toEqual(["environment TANDEM_HTPP_PORT: no such key, ignored; did you mean TANDEM_HTTP_PORT?"]);
  });

  it("reports every problem of all sources at once", () => {
    const given = { environment: { HTTP_PORT: "x" }, file: "Nope: 1\nRetryInterval: 0", flags: { LogLevel: "loud" } };
    expect(problemsOf(given)).toHaveLength(4);
  });
});

const file = (content: string): Given => ({ file: content });
const flags = (flag: Partial<Record<Path, string>>): Given => ({ flags: flag });

const bad: readonly [string, Given, RegExp][] = [
  ["not YAML", file("HttpPort: [1"), /^conf.yml:1: /],
  ["a key twice", file("HttpPort: 1\nHttpPort: 2"), /^conf.yml:2: .*unique/],
  ["two documents", file("HttpPort: 1\n---\nGrpcPort: 2"), /^conf.yml:2: /],
  ["a list at the top", file("- HttpPort: 1"), /^conf.yml:1: is no mapping; it needs/],
  ["text at the top", file("hello"), /^conf.yml:1: is no mapping/],
  ["an unknown key", file("\nHtpPort: 1"), /^conf.yml:2: HtpPort: unknown key; did you mean HttpPort\?$/],
  ["an unknown key below a known one", file("Store:\n  Hots: x"), /^conf.yml:2: Store.Hots: unknown key; did you mean/],
  ["an unknown key like nothing", file("Zebra: 1"), /^conf.yml:1: Zebra: unknown key$/],
  ["a key in the wrong case", file("httpport: 1"), /^conf.yml:1: httpport: unknown key; did you mean HttpPort\?$/],
  ["a value where keys belong", file("Store: mysql"), /^conf.yml:1: Store: has keys below it, not a value$/],
  ["a list where a value belongs", file("HttpPort: [1]"), /^conf.yml:1: HttpPort: needs one value, not a list$/],
  ["a mapping where a value belongs", file("HttpPort: {a: 1}"), /HttpPort: needs one value, not a mapping$/],
  ["a word for a number", file("HttpPort: http"), /conf.yml:1: HttpPort: is 'http'; needs an integer from 0 to 65535$/],
  ["a number in hex", file("HttpPort: 0x50"), /is '0x50'; needs an integer/],
  ["a fraction", file("RequestTimeout: 1.5"), /is '1.5'; needs an integer from 1 to 3600$/],
  ["an exponent", file("RequestTimeout: 1e3"), /is '1e3'; needs an integer/],
  ["a negative number", file("RequestTimeout: -3"), /is '-3'; needs an integer/],
  ["empty text for a number", file("HttpPort: ''"), /is ''; needs an integer/],
  ["a port too large", { environment: { HTTP_PORT: "65536" } }, /^environment HTTP_PORT: is '65536'; needs an integer/],
  ["a Kubernetes link for a port", { environment: { STORE_PORT: "tcp://1.2.3.4:1" } }, /^environment STORE_PORT: is/],
  ["a bad prefixed name", { environment: { TANDEM_GRPC_PORT: "x" } }, /^environment TANDEM_GRPC_PORT: is 'x'; needs/],
  ["a bad flag", flags({ HttpPort: "x" }), /^flag --http-port: is 'x'; needs an integer from 0 to 65535$/],
  [
    "an unknown log level",
    flags({ LogLevel: "loud" }),
    /--log-level: is 'loud'; needs one of debug, info, warn, error$/,
  ],
  ["RetryInterval 0", file("RetryInterval: 0"), /RetryInterval: is '0'; needs an integer from 1/],
  [
    "S-CFG-1 TimeoutToFail",
    file("TimeoutToFail: 5"),
    /is 5; TimeoutToFail should not be less than RetryInterval, which/,
  ],
  ["S-CFG-1 host", file("Store: {Driver: mysql}"), /Db host not valid /],
  ["S-CFG-1 port", file("Store: {Driver: mysql, Host: h}"), /Db port not valid /],
  ["S-CFG-1 user", file("Store: {Driver: mysql, Host: h, Port: 1}"), /Db user not valid /],
  ["a store of DTM's that is not here", file("Store: {Driver: redis}"), /'redis' is no store of this version/],
  ["a driver nobody knows", file("Store: {Driver: oracle}"), /is 'oracle'; needs one of boltdb, mysql/],
  ["a driver and a URL", file("Store: {Driver: boltdb, Url: 'memory:'}"), /both name a store; needs one of them$/],
  ["a store URL nobody knows", flags({ "Store.Url": "sqlite:x" }), /^flag --store: is 'sqlite:x'; is no store/],
  ["lmdb without a folder", flags({ "Store.Url": "lmdb:" }), /names no folder; needs lmdb:DIR$/],
  ["mysql without a user", flags({ "Store.Url": "mysql://h:1/d" }), /names no user/],
  ["mysql without a database", flags({ "Store.Url": "mysql://u@h:1" }), /names no database/],
  ["an open address", flags({ Host: "0.0.0.0" }), /^flag --host: is '0.0.0.0'; .*needs 127.0.0.1, or --insecure/],
  ["an open address in IPv6", flags({ Host: "::" }), /--insecure/],
  ["a name that only looks like loopback", flags({ Host: "127.0.0.1.example.org" }), /--insecure/],
  ["one port for both", flags({ HttpPort: "7", GrpcPort: "7" }), /^flag --grpc-port: is 7, as HttpPort; needs another/],
  ["a host with a space", flags({ Host: "a b" }), /is 'a b'; needs a host name or address/],
  ["a discovery driver", file("MicroService: {Driver: dtm-driver-gozero}"), /needs 'default'$/],
  ["a webhook that is no URL", file("AlertWebHook: hook"), /is 'hook'; needs a URL http:\/\/… or https:\/\/…/],
  ["a toggle that is none", file("StrictResults: maybe"), /is 'maybe'; needs true or false$/],
  ["a toggle named as a property", file("StrictResults: constructor"), /is 'constructor'; needs true or false$/],
  ["heads that go before their data", file("Store: {FinishedHeadExpire: 60}"), /is 60; needs at least Store.Finished/],
  ["a CA file that is not there", file("Participants: {CaFile: no.pem}"), /'no.pem' cannot be read .*ENOENT/],
  ["a CA file without PEM", file("Participants: {CaFile: empty.pem}"), /'empty.pem' holds no PEM block/],
  [
    "a cluster without a name",
    flags({ "Cluster.Url": "nats://h" }),
    /^flag --cluster: needs a name for this node, --node/,
  ],
  [
    "a name without a cluster",
    flags({ "Cluster.Node": "a" }),
    /^flag --node: is 'a' without a cluster; needs --cluster/,
  ],
  ["a node name with a dot", flags({ "Cluster.Node": "a.b", "Cluster.Url": "nats://h" }), /letters, digits, - and _/],
];

describe("bad configuration", () => {
  it.each(bad)("is refused with place, value and need: %s", (_name, given, expected) => {
    const problems = problemsOf(given);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems[0]).toMatch(expected);
  });
});
