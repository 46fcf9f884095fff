/**
 * The package's main entry: a coordinator inside your own process. The client is at `tandem/client`, barriers at
 * `tandem/barrier/*`.
 */
export { type Config, ConfigError, type Loaded, loadConfig, type Sources } from "./config/config.js";
export { type RunningNode, startNode } from "./node.js";
