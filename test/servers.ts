// The one way for tests to get real servers. Address from the environment, else a program that is there or gets
// installed, else the suite is skipped and says so:
//
//     describe.runIf(await available("mysql"))("…", () => {
//       beforeAll(async () => { server = await startMariadb(); });
//
// A server without `own` is shared by all suites of a run: work in a database (`makeDatabase`) or under a subject
// prefix of your own.
export { available, type ServerKind } from "./servers/binaries.js";
export { type CoordinatorServer, serveLmdb, startDtm, startTandem } from "./servers/coordinators.js";
export { type Database, type MariadbOptions, makeDatabase, startMariadb } from "./servers/mariadb.js";
export { type NatsOptions, startNats } from "./servers/nats.js";
export { type PostgresOptions, startPostgres } from "./servers/postgres.js";
export { freePort, makeFolder, type Program, run, type Server } from "./servers/program.js";
export { type RedisOptions, startRedis } from "./servers/redis.js";
