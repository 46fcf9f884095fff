/**
 * What the server's errors mean for whoever sent a packet: whether it is worth sending again, and whose fault it was.
 */
import { unmet } from "./packet.js";

/**
 * Why a packet failed. `unsent`: it never reached the server. `lost`: no answer, so it may have run. The others are
 * answers: nothing of the transaction stays, it is rolled back. `collision`: a deadlock or a held row; `held back`: the
 * guards did not hold or a key is taken; `refused`: the server will never take a row; `unavailable`: not now;
 * `unknown`: an answer that nobody has foreseen.
 */
export type FailureKind = "unsent" | "lost" | "collision" | "held back" | "refused" | "unavailable" | "unknown";

/**
 * Answers to a statement that mean its rows can never be stored: too long, out of range, against a constraint, or no
 * SQL; beside those of the classes 21, 22 and 23 (wrong number of values, data, constraints).
 */
const refusals = new Set([1064, 1118, 1139, 1153, 1264, 1292, 1366, 1406, 1690, 3819, 4025]);
const refusedClasses = new Set(["21", "22", "23"]);
/**
 * Answers that come from the state of the server, not from the rows: disk or memory full, a limit reached, read-only,
 * a privilege or a table missing, an engine in trouble, replication that wants nothing written. They pass when somebody
 * has mended that.
 */
const notNow = new Set([
  ...[1015, 1016, 1020, 1021, 1023, 1024, 1026, 1030, 1034, 1035, 1036, 1037, 1038, 1040, 1041, 1043, 1044, 1045, 1046],
  ...[1047, 1049, 1051, 1054, 1099, 1100, 1109, 1114, 1119, 1129, 1130, 1135, 1142, 1143, 1146, 1180, 1181, 1192, 1194],
  ...[1195, 1196, 1197, 1203, 1206, 1207, 1223, 1226, 1227, 1290, 1295, 1296, 1297, 1298, 1356, 1370, 1412, 1436, 1449],
  ...[1598, 1637, 1665, 1712, 1785, 1786, 1792, 1812, 1813, 1814, 1815, 1820, 1836, 1862, 1874, 1877, 1969, 3024, 3098],
  ...[3100, 3101, 3118, 3167, 3168, 3185, 3572],
]);
const collisions = new Set([1205, 1213]);
const duplicate = 1062;
const heldBack = new Set([duplicate, unmet]);
/** Answers that come with the end of the connection: shutdown, killed, timed out; the statement may have run. */
const endings = new Set([1053, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 2006, 2013, 4031]);

/**
 * What a driver's error means. Only an answer of the server to a statement has an SQL state; everything else came from
 * the connection.
 */
export function kindOf(error: unknown): FailureKind {
  const { errno = 0, sqlState, fatal } = error as { errno?: number; sqlState?: string; fatal?: boolean };
  if (fatal === true || sqlState === undefined || endings.has(errno)) return "lost";
  if (heldBack.has(errno)) return "held back";
  if (collisions.has(errno)) return "collision";
  if (notNow.has(errno)) return "unavailable";
  return refusals.has(errno) || refusedClasses.has(sqlState.slice(0, 2)) ? "refused" : "unknown";
}

/** What a driver's error says, for people. */
export function wordsOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return message || code || String(error);
}

/** Whether the packet met a deadlock or a held row: it has done nothing and may be sent again at once. */
export function isCollision(errno: number): boolean {
  return collisions.has(errno);
}

/** Whether nothing is wrong with the statement: another time it will do. */
export function isNotNow(errno: number): boolean {
  return notNow.has(errno) || collisions.has(errno) || endings.has(errno);
}
