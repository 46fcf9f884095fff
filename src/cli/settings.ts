/**
 * Configuration as the command line gives it: flags of the table of keys, the file they name, the environment.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { ConfigError, type Loaded, loadConfig } from "../config/config.js";
import { keyOf, type Path, paths } from "../config/keys.js";
import type { Environment } from "../config/setting.js";
import { urlHost } from "../wire/url.js";
import { CliError } from "./exit.js";

/** Largest configuration file that is read, bytes. */
const fileBytesMax = 1 << 20;

/** Values of a command's options by attribute name, as commander collects them. */
export type Options = Readonly<Record<string, unknown>>;

/** Adds `--config` and every flag of the table of keys to a command. */
export function withConfigFlags(command: Command): Command {
  command.option("-c, --config <file>", "configuration file (YAML; DTM's conf.yml is one); environment: TANDEM_CONFIG");
  for (const path of paths) {
    const { flag, about, fallback } = keyOf(path);
    if (flag === undefined) continue;
    if (typeof fallback === "boolean") command.option(flag, about);
    else command.option(`${flag} <${flag.includes("port") ? "n" : "value"}>`, about);
  }
  return command;
}

/** Configuration from a command's options and the environment. @throws CliError with one line per problem */
export function readSettings(options: Options, environment: Environment): Loaded {
  const name = textOption(options, "config") ?? nonEmpty(environment.TANDEM_CONFIG);
  try {
    return loadConfig({
      environment,
      file: name === undefined ? undefined : { name, content: readConfigFile(name) },
      flags: flagValues(options),
      readFile: (file) => readFileSync(file, "utf8"),
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError("usage", "the configuration cannot be used", error.problems);
  }
}

/** URL of the server that a tool talks to: `--url`, TANDEM_URL, else where a server of this configuration listens. */
export function serverUrl(options: Options, environment: Environment): string {
  const given = textOption(options, "url") ?? nonEmpty(environment.TANDEM_URL);
  if (given === undefined) {
    const { host, httpPort } = readSettings(options, environment).config;
    const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
    return `http://${urlHost(reachable)}:${httpPort}`;
  }
  const url = given.includes("://") ? given : `http://${given}`;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new CliError("usage", `'${given}' is no URL of a server`, ["needs something like http://127.0.0.1:36789"]);
}

/** Option that has a text, if it was given. */
export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

function flagValues(options: Options): Partial<Record<Path, string>> {
  const values: Partial<Record<Path, string>> = {};
  for (const path of paths) {
    const { flag } = keyOf(path);
    const value = flag === undefined ? undefined : options[attributeName(flag)];
    if (value !== undefined) values[path] = String(value);
  }
  return values;
}

/** Commander's name of an option: `--http-port` is `httpPort`. */
function attributeName(flag: string): string {
  return flag.replace(/^--/, "").replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function readConfigFile(name: string): string {
  try {
    const content = readFileSync(name);
    if (content.length <= fileBytesMax) return content.toString("utf8");
  } catch (error) {
    throw new CliError("usage", `configuration file ${name} cannot be read: ${(error as Error).message}`);
  }
  throw new CliError("usage", `configuration file ${name} is larger than ${fileBytesMax} bytes; is it the right one?`);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
