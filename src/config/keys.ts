/**
 * Every configuration key, in the order in which docs/configuration.md lists them. Adding a key is one line here; its
 * environment names follow from its path, its flag stands in the line. Times are seconds, as DTM's are.
 */
import { integer, type Key, text, toggle, url, urls, word } from "./key.js";

const day = 86_400;
const noDriver = "service discovery drivers are not part of this version; participants are called by their URLs";
const noRotation = "log files are not rotated by the server; let the system do it";
const onlyRedis = "it belongs to DTM's Redis store";

const listening = {
  Host: text("127.0.0.1", { flag: "--host", about: "Address to listen on." }, "a host name or address", (t) =>
    /^[\w.:-]+$/.test(t),
  ),
  HttpPort: integer(0, 65_535, 36_789, {
    dtm: true,
    flag: "--http-port",
    about: "Port of HTTP and JSON-RPC; 0 takes a free one.",
  }),
  GrpcPort: integer(0, 65_535, 36_790, { dtm: true, flag: "--grpc-port", about: "Port of gRPC; 0 takes a free one." }),
  Insecure: toggle({
    flag: "--insecure",
    about: "Allows a Host other than loopback, although there is no authentication yet.",
  }),
  AdminBasePath: text(
    "",
    { dtm: true, about: "No effect yet: path of the console.", ignored: "this version has no console" },
    "a path such as /dtm",
    (t) => /^(\/[\w.-]+)+$/.test(t),
  ),
};

const store = {
  "Store.Url": text("", {
    flag: "--store",
    about: "Where transactions are kept: lmdb:DIR, memory: or mysql://USER:PASSWORD@HOST:PORT/DB. Beats Store.Driver.",
  }),
  "Store.Driver": word(["boltdb", "mysql", "postgres", "sqlserver", "redis"], "boltdb", {
    dtm: true,
    about: "DTM's name of the store. boltdb stands for the embedded store (lmdb:tandem-data).",
  }),
  "Store.Host": text("", { dtm: true, about: "Host of the database, with Store.Driver." }),
  "Store.Port": integer(0, 65_535, 0, { dtm: true, about: "Port of the database, with Store.Driver." }),
  "Store.User": text("", { dtm: true, about: "User of the database, with Store.Driver." }),
  "Store.Password": text("", { dtm: true, secret: true, about: "Password of the database, with Store.Driver." }),
  "Store.Db": text("dtm", { dtm: true, about: "Name of the database, with Store.Driver." }),
  "Store.MaxOpenConns": integer(3, 10_000, 500, {
    dtm: true,
    about: "Most connections of one node to the database; at most 10 are used, and 3 more for each of its Threads.",
  }),
  "Store.Tls": toggle({ about: "Talks to the database over TLS only, also without a CaFile; by host name." }),
  "Store.CaFile": text("", {
    about: "PEM file of the authorities trusted for the database, which is then called over TLS.",
  }),
  "Store.CertFile": text("", { about: "PEM file of the client certificate shown to the database." }),
  "Store.KeyFile": text("", { about: "PEM file of the key of that certificate." }),
  "Store.MigrateByHand": toggle({ about: "Leaves the tables alone at the start; `tandem migrate` makes them." }),
  "Store.FormatMax": integer(0, 65_535, 0, {
    about:
      "Newest stored format that this node offers to write, so that an upgrade can be rolled back; 0 = its newest.",
  }),
  "Store.FinishedDataExpire": integer(60, 3650 * day, 7 * day, {
    dtm: true,
    about: "Seconds for which the steps and the history of a finished transaction are kept.",
  }),
  "Store.FinishedHeadExpire": integer(60, 3650 * day, 30 * day, {
    about: "Seconds for which gid, status and reason of a finished transaction are kept, to know a repeated submit.",
  }),
  "Store.Schema": text("public", { dtm: true, about: "Postgres only.", ignored: "there is no Postgres store" }),
  "Store.MaxIdleConns": integer(0, 10_000, 500, {
    dtm: true,
    about: "No effect.",
    ignored: "idle connections are closed by time",
  }),
  "Store.ConnMaxLifeTime": integer(0, 1_000_000, 5, {
    dtm: true,
    about: "No effect.",
    ignored: "idle connections are closed by time",
  }),
  "Store.DataExpire": integer(0, 3650 * day, 7 * day, {
    dtm: true,
    about: "No effect.",
    ignored: "an unfinished transaction is never dropped; Store.FinishedDataExpire counts for finished ones",
  }),
  "Store.RedisPrefix": text("{a}", { dtm: true, about: "No effect.", ignored: onlyRedis }),
};

const times = {
  TimeoutToFail: integer(1, 365 * day, 35, {
    dtm: true,
    about:
      "Age at which an unsubmitted tcc, xa or workflow fails, a prepared msg is asked about. Not below RetryInterval.",
  }),
  RetryInterval: integer(1, 7 * day, 10, {
    dtm: true,
    about: "Seconds until the first retry of a branch; doubles up to 300 (or itself, when that is more).",
  }),
  RequestTimeout: integer(1, 3600, 3, { dtm: true, about: "Seconds that a call of a branch may take." }),
  WaitResultTimeout: integer(1, 3600, 20, { about: "Seconds that wait_result holds a reply before it answers 425." }),
  ParkAfter: integer(0, 1_000_000, 0, {
    about: "Tries of an op without a clear answer after which its transaction is parked for an operator; 0 = never.",
  }),
  StrictResults: toggle({ about: "Takes only the status of an HTTP participant's answer: any 2xx is success." }),
  AlertRetryLimit: integer(0, 1000, 3, {
    dtm: true,
    about: "Retries of a branch after which the alert hook is called.",
  }),
  AlertWebHook: { ...url(["http", "https"], { dtm: true, about: "URL that is told of a stuck branch, by POST." }) },
};

const threads = {
  Threads: integer(0, 16, 0, {
    flag: "--threads",
    about:
      "Threads that work on transactions of a mysql:// store; 1 = the main thread alone, 0 = as the machine's cores suggest.",
  }),
};

const limits = {
  "Limits.BodyBytes": integer(1024, 1 << 30, 4 << 20, { about: "Largest request body." }),
  "Limits.PayloadBytes": integer(64, 1 << 30, 1 << 20, { about: "Largest payload of one step." }),
  "Limits.Branches": integer(1, 10_000, 1000, { about: "Most branches of one transaction." }),
  "Limits.UrlCharacters": integer(64, 8192, 1024, { about: "Longest URL of a branch." }),
  "Limits.Headers": integer(0, 1000, 64, { about: "Most branch headers of one transaction." }),
  "Limits.HeaderBytes": integer(64, 1 << 20, 16_384, { about: "Names and values of all branch headers together." }),
  "Limits.JsonDepth": integer(4, 1000, 64, { about: "Deepest nesting of a JSON body." }),
  "Limits.JsonValues": integer(100, 10_000_000, 20_000, { about: "Members and elements of one JSON body together." }),
  "Limits.CustomDataBytes": integer(64, 1 << 20, 65_536, { about: "Longest custom_data." }),
  "Limits.RequestTimeout": integer(1, 3600, 3600, { about: "Largest request_timeout, seconds." }),
  "Limits.RetryInterval": integer(1, 7 * day, 7 * day, { about: "Largest retry_interval, seconds." }),
  "Limits.TimeoutToFail": integer(1, 365 * day, 365 * day, { about: "Largest timeout_to_fail, seconds." }),
  "Limits.Delay": integer(0, 30 * day, 30 * day, { about: "Largest delay of a msg, seconds." }),
  "Limits.RetryLimit": integer(1, 10_000, 10_000, { about: "Largest retry_limit." }),
  "Limits.CallsPerParticipant": integer(1, 65_536, 256, { about: "Calls in flight to one participant (origin)." }),
  "Limits.CallsInFlight": integer(1, 1_000_000, 4096, { about: "Calls in flight of the whole node." }),
  "Limits.ResidentTransactions": integer(0, 10_000_000, 0, {
    about: "Unfinished transactions held in memory; 0 = 200000, or fewer where the heap is small.",
  }),
  "Limits.ResidentBytes": integer(0, 2 ** 40, 0, {
    about: "Bytes of clients that these hold; new ones get 503 beyond. 0 = a quarter of the memory, 1 GiB at most.",
  }),
  "Limits.ActiveTransactions": integer(1, 10_000_000, 50_000, {
    about: "Transactions being worked on at a time; new ones get 503 beyond.",
  }),
  "Limits.RequestBytes": integer(1 << 20, 2 ** 40, 256 << 20, {
    about: "Bytes of all requests being answered; new ones get 503 beyond.",
  }),
};

const surroundings = {
  "Participants.CaFile": text("", {
    about: "PEM file of certificate authorities trusted for https and grpcs participants.",
  }),
  "Participants.CertFile": text("", { about: "PEM file of the client certificate shown to participants." }),
  "Participants.KeyFile": text("", { about: "PEM file of the key of that certificate." }),
  "Participants.TargetsFile": text("", {
    about:
      "YAML file of single participants, HOST or HOST:PORT, each with CaFile, CertFile, KeyFile, Headers of its own.",
  }),
  "Participants.LocalhostAs": text(
    "",
    {
      about:
        "Name to call where a URL of a participant says localhost, such as host.docker.internal; empty = as it says.",
    },
    "a host name",
    (t) => /^[\w.-]+$/.test(t),
  ),
  "Cluster.Url": { ...urls(["nats", "tls"], { flag: "--cluster", about: "NATS of the cluster; empty = one node." }) },
  "Cluster.Node": text(
    "",
    { flag: "--node", about: "Name of this node." },
    "letters, digits, - and _, at most 64",
    (t) => /^[\w-]{1,64}$/.test(t),
  ),
  "Cluster.Advertise": {
    ...url(["http"], { flag: "--advertise", about: "URL under which other nodes reach this one." }),
  },
  "Cluster.Prefix": text(
    "tandem",
    { about: "First tokens of every NATS subject of this cluster; another one for each cluster on a NATS." },
    "tokens of letters, digits, - and _ joined by dots",
    (t) => /^[A-Za-z0-9][\w-]*(\.[A-Za-z0-9][\w-]*)*$/.test(t) && t.length <= 100,
  ),
  "Cluster.Secret": text("", {
    secret: true,
    about: "Shared by the nodes: lets them talk by HTTP where NATS cannot carry a message; empty = NATS only.",
  }),
  "Cluster.CredsFile": text("", { about: "NATS credentials file (JWT and seed) of this node." }),
  "Cluster.NkeyFile": text("", { about: "File with the seed of the NKey by which this node signs in to NATS." }),
  "Cluster.CaFile": text("", { about: "PEM file of the authorities trusted for NATS over TLS." }),
  "Cluster.CertFile": text("", { about: "PEM file of the client certificate shown to NATS." }),
  "Cluster.KeyFile": text("", { about: "PEM file of the key of that certificate." }),
  "Cluster.LeaseMs": integer(300, 60_000, 3000, {
    about: "Milliseconds after which a silent node's shards are taken over; the same on all nodes.",
  }),
  LogLevel: word(["debug", "info", "warn", "error"], "info", {
    dtm: true,
    flag: "--log-level",
    about: "Least important line that is written; debug has every request and call.",
  }),
  "Log.Outputs": text("stderr", { dtm: true, about: "Where log lines go: stderr, stdout or files, comma separated." }),
};

const ignored = {
  UpdateBranchSync: integer(0, 1, 1, {
    dtm: true,
    about: "No effect: every result is durable before it counts.",
    ignored: "there is one durability, every result is written before it counts",
  }),
  UpdateBranchAsyncGoroutineNum: integer(0, 1_000_000, 1, {
    dtm: true,
    about: "No effect.",
    ignored: "see UpdateBranchSync",
  }),
  TransCronInterval: integer(0, 1_000_000, 3, {
    dtm: true,
    about: "No effect.",
    ignored: "nothing is polled, every transaction has its own timer",
  }),
  ConfigUpdateInterval: integer(0, 1_000_000, 3, {
    dtm: true,
    about: "No effect.",
    ignored: "changes of topics count at once",
  }),
  JsonRpcPort: integer(0, 65_535, 36_791, {
    dtm: true,
    about: "No effect.",
    ignored: "JSON-RPC is served on the HTTP port",
  }),
  GrpcServiceConfig: text('{"loadBalancingConfig": [{"round_robin":{}}]}', {
    dtm: true,
    about: "No effect.",
    ignored: "calls are spread over all addresses of a name",
  }),
  TimeZoneOffset: text("", { dtm: true, about: "No effect.", ignored: "times in answers are in UTC" }),
  "Log.RotationEnable": integer(0, 1, 0, { dtm: true, about: "No effect.", ignored: noRotation }),
  "Log.RotationConfigJSON": text("{}", { dtm: true, about: "No effect.", ignored: noRotation }),
  "MicroService.Driver": word(["default"], "default", { dtm: true, about: `Only 'default': ${noDriver}.` }),
  "MicroService.Target": text("", { dtm: true, about: "No effect.", ignored: noDriver }),
  "MicroService.EndPoint": text("", { dtm: true, about: "No effect.", ignored: noDriver }),
  "HttpMicroService.Driver": word(["default"], "default", { dtm: true, about: `Only 'default': ${noDriver}.` }),
  "HttpMicroService.RegistryType": text("", { dtm: true, about: "No effect.", ignored: noDriver }),
  "HttpMicroService.RegistryAddress": text("", { dtm: true, about: "No effect.", ignored: noDriver }),
  "HttpMicroService.RegistryOptions": text("{}", { dtm: true, about: "No effect.", ignored: noDriver }),
  "HttpMicroService.Target": text("", { dtm: true, about: "No effect.", ignored: noDriver }),
  "HttpMicroService.EndPoint": text("", { dtm: true, about: "No effect.", ignored: noDriver }),
};

/** All keys by path. */
export const keys = {
  ...listening,
  ...store,
  ...times,
  ...threads,
  ...limits,
  ...surroundings,
  ...ignored,
} satisfies Record<string, Key<unknown>>;

/** Path of a key, as a file nests it. */
export type Path = keyof typeof keys;

/** The value of every key. */
export type Values = { readonly [P in Path]: (typeof keys)[P] extends Key<infer T> ? T : never };

/** All paths in the order of the table. */
export const paths = Object.keys(keys) as readonly Path[];

/** The key of a path, seen without its own type. */
export function keyOf(path: Path): Key<unknown> {
  return keys[path];
}

/**
 * DTM's environment name of a path: parts joined by `_`, a `_` before each capital that begins a word, upper case. The
 * prefixed name is `TANDEM_` and this.
 */
export function environmentName(path: Path): string {
  return path
    .replace(".", "_")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1_$2")
    .replace(/([a-z])([A-Z]+)/g, "$1_$2")
    .toUpperCase();
}
