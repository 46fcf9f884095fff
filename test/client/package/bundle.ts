// What of the client a process loads, measured by bundling it: bytes that are loaded at the first import, bytes that
// are loaded when they are needed, and packages among them.

import { build } from "esbuild";

/** One entry's size. */
export interface BundleReport {
  /** Minified bytes of the entry with everything that it imports statically. */
  readonly bytes: number;
  /** Minified bytes of what it loads on demand. */
  readonly laterBytes: number;
  /** Packages that the entry needs at run time, at once or later. */
  readonly packages: readonly string[];
}

/** Bundles an entry file (path from the repository's root) for Node, packages left outside. */
export async function bundle(entry: string): Promise<BundleReport> {
  const { metafile } = await build({
    ...{ entryPoints: [entry], bundle: true, splitting: true, format: "esm", platform: "node", target: "node20" },
    ...{ minify: true, write: false, metafile: true, outdir: "out", packages: "external", logLevel: "silent" },
  });
  const { outputs } = metafile;
  const start = Object.keys(outputs).find((name) => outputs[name]?.entryPoint === entry);
  if (start === undefined) throw new Error(`${entry} was not bundled`);
  const loaded = new Set<string>();
  const load = (name: string): void => {
    if (loaded.has(name)) return;
    loaded.add(name);
    for (const { path, kind, external } of outputs[name]?.imports ?? []) {
      if (kind === "import-statement" && external !== true) load(path);
    }
  };
  load(start);
  const all = Object.values(outputs).flatMap(({ imports }) => imports.filter(({ external }) => external === true));
  const packages = all.map(({ path }) => path).filter((path) => !path.startsWith("node:"));
  const sum = (names: readonly string[]) => names.reduce((total, name) => total + (outputs[name]?.bytes ?? 0), 0);
  return {
    bytes: sum([...loaded]),
    laterBytes: sum(Object.keys(outputs).filter((name) => !loaded.has(name))),
    packages: [...new Set(packages)].sort(),
  };
}
