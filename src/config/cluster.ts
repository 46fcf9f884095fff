/**
 * How a node takes part in a cluster, from the keys `Cluster.*`.
 */
import type { Path, Values } from "./keys.js";

/** Of a node that was told of a cluster. PEM texts, not files. */
export interface ClusterConfig {
  readonly url: string;
  readonly node: string;
  /** Empty: the address it listens on. */
  readonly advertise: string;
  readonly prefix: string;
  /** Empty: nodes talk over NATS only. */
  readonly secret: string;
  /** Paths, read when connecting; empty: none. */
  readonly credsFile: string;
  readonly nkeyFile: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Keys that mean nothing without a cluster. The secret may stand in an environment that tools share with nodes. */
const dependent = ["Cluster.Node", "Cluster.Advertise"] as const;

/**
 * `undefined` without `Cluster.Url`; what is wrong is added to `problems`.
 * @param origin where a key was set, for messages
 * @param pem reads the file that a key names
 */
export function clusterOf(
  values: Values,
  problems: string[],
  origin: (path: Path) => string,
  pem: (path: "Cluster.CaFile" | "Cluster.CertFile" | "Cluster.KeyFile") => string,
): ClusterConfig | undefined {
  const url = values["Cluster.Url"];
  if (url === "") {
    for (const path of dependent) {
      if (values[path] !== "")
        problems.push(`${origin(path)}: is '${values[path]}' without a cluster; needs --cluster nats://…`);
    }
    return undefined;
  }
  const node = values["Cluster.Node"];
  if (node === "") problems.push(`${origin("Cluster.Url")}: needs a name for this node, --node NAME`);
  return {
    url,
    node,
    advertise: values["Cluster.Advertise"],
    prefix: values["Cluster.Prefix"],
    secret: values["Cluster.Secret"],
    credsFile: values["Cluster.CredsFile"],
    nkeyFile: values["Cluster.NkeyFile"],
    ca: pem("Cluster.CaFile"),
    cert: pem("Cluster.CertFile"),
    key: pem("Cluster.KeyFile"),
  };
}
