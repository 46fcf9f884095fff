/**
 * Settings as they were found, before they mean anything: a path, its text and where it stood. Each source of
 * configuration gives such a list; unknown names are reported here with the nearest name that exists.
 */
import { environmentName, keyOf, type Path, paths } from "./keys.js";

/** One value from one place. */
export interface Setting {
  readonly path: Path;
  readonly text: string;
  /** For messages: `conf.yml:12: Store.Host`, `environment HTTP_PORT`, `flag --http-port`. */
  readonly origin: string;
}

/** What a source held, and what was wrong or odd about it; `problems` stop the start, `warnings` do not. */
export interface Found {
  readonly settings: readonly Setting[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** The environment as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = "TANDEM_";

/** Prefixed names that are no keys: the tools' own, those of tests, and what Kubernetes adds for a service "tandem". */
const foreign = /^TANDEM_(URL|CONFIG|TEST_.*|SERVICE_.*|PORT|PORT_\d.*)$/;

/**
 * DTM's plain names. Empty counts as unset, as in DTM. IS_DOCKER, whatever it is, stands for one fixed name (S-BR-3).
 */
export function fromPlainEnvironment(environment: Environment): Found {
  const settings = paths.filter((path) => keyOf(path).dtm === true).flatMap((path) => named(environment, path, ""));
  const inDocker = (environment.IS_DOCKER ?? "") !== "";
  return { settings: inDocker ? [...settings, dockerHost] : settings, problems: [], warnings: [] };
}

const dockerHost: Setting = {
  path: "Participants.LocalhostAs",
  text: "host.docker.internal",
  origin: "environment IS_DOCKER",
};

/** `TANDEM_` names. An unknown one is only a warning: platforms add names of their own to any environment. */
export function fromPrefixedEnvironment(environment: Environment): Found {
  const known = new Set(paths.map((path) => prefix + environmentName(path)));
  const unknown = Object.keys(environment).filter((n) => n.startsWith(prefix) && !known.has(n) && !foreign.test(n));
  return {
    settings: paths.flatMap((path) => named(environment, path, prefix)),
    problems: [],
    warnings: unknown.map((n) => `environment ${n}: no such key, ignored${suggestion(n, [...known])}`),
  };
}

/** Values of flags by path, as the command line gave them. */
export function fromFlags(flags: Partial<Readonly<Record<Path, string>>>): Found {
  const settings = paths.flatMap((path) => {
    const text = flags[path];
    return text === undefined ? [] : [{ path, text, origin: `flag ${keyOf(path).flag ?? path}` }];
  });
  return { settings, problems: [], warnings: [] };
}

/** `; did you mean X?` when some name is at most three typing errors away, else nothing. */
export function suggestion(name: string, names: readonly string[]): string {
  const near = names.map((n) => ({ n, far: distance(name.toLowerCase(), n.toLowerCase()) }));
  const best = near.reduce((a, b) => (b.far < a.far ? b : a), { n: "", far: 4 });
  return best.n === "" ? "" : `; did you mean ${best.n}?`;
}

function named(environment: Environment, path: Path, before: string): readonly Setting[] {
  const name = before + environmentName(path);
  const text = environment[name] ?? "";
  return text === "" ? [] : [{ path, text, origin: `environment ${name}` }];
}

/** Levenshtein distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, change));
    }
    row = next;
  }
  return row[b.length]!;
}
