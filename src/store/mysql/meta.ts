/**
 * What all nodes of a database must agree on: it is written by the first of them, and every other compares.
 */
import { Line } from "./line.js";
import { SchemaError } from "./schema.js";

/** Duplicate key: another node was faster. */
const duplicate = 1062;

/**
 * Notes the prefix of the cluster's NATS subjects, or compares it with the noted one; resolves to the cluster's id.
 * @throws SchemaError when another prefix is noted; StoreUnavailable
 */
export async function agreeOnCluster(url: string, timeoutMs: number, prefix: string): Promise<string> {
  const line = new Line({ url, timeoutMs });
  try {
    await line
      .send(
        "INSERT INTO meta (name, value) SELECT 'prefix', ? FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name='prefix')",
        [prefix],
      )
      .catch((error: { readonly errno?: number }) => {
        if (error.errno !== duplicate) throw error;
      });
    const [rows] = await line.send("SELECT name, value FROM meta WHERE name IN ('prefix', 'cluster')");
    const meta = new Map(rows!.map((row) => [String(row.name), String(row.value)]));
    const noted = meta.get("prefix");
    if (noted !== prefix)
      throw new SchemaError(`the nodes of this database have the NATS prefix '${noted}', this one has '${prefix}'`);
    return meta.get("cluster") ?? "";
  } finally {
    await line.close();
  }
}
