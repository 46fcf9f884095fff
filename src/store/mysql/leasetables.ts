/**
 * The two tables of ownership (reliability 3). Lease row and epoch row are different rows, so a renewal never waits for
 * a flush. Times are UTC whatever the session's zone, so that no clock change of a zone ends a lease.
 */
import { shardCount } from "../../core/shard.js";

/** Statements that make the tables where they are missing, every shard without owner; harmless when repeated. */
export const leaseTables: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS cl_node (
    node_id VARBINARY(64) PRIMARY KEY,
    incarnation BIGINT UNSIGNED NOT NULL,
    state TINYINT NOT NULL,
    lease_until DATETIME(3) NOT NULL,
    address VARCHAR(255) NOT NULL,
    conn_ids VARCHAR(512) NOT NULL,
    format SMALLINT UNSIGNED NOT NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
  `CREATE TABLE IF NOT EXISTS cl_shard (
    shard_id SMALLINT UNSIGNED PRIMARY KEY,
    epoch BIGINT UNSIGNED NOT NULL,
    owner VARBINARY(64) NOT NULL,
    incarnation BIGINT UNSIGNED NOT NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
  `INSERT INTO cl_shard (shard_id, epoch, owner, incarnation)
    SELECT * FROM (${Array.from({ length: shardCount }, (_, shard) => (shard === 0 ? "SELECT 0 AS shard_id, 0 AS epoch, '' AS owner, 0 AS incarnation" : `SELECT ${shard}, 0, '', 0`)).join(" UNION ALL ")}) AS fresh
    WHERE NOT EXISTS (SELECT 1 FROM cl_shard)`,
];
