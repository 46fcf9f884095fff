// The client's entries as package.json exports them, with the source files they are built from.

import { readFileSync } from "node:fs";

/** One subpath export. */
export interface Entry {
  /** As it is imported: `tandem/client`. */
  readonly name: string;
  /** Its source, from the repository's root: `src/client/index.ts`. */
  readonly source: string;
}

/** All entries but the server's own. */
export function clientEntries(): readonly Entry[] {
  const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as {
    exports: Readonly<Record<string, { readonly types?: string }>>;
  };
  return Object.entries(exports).flatMap(([path, { types }]) => {
    const source = types?.replace("./dist/", "").replace(/\.d\.ts$/, ".ts");
    const isClients = source !== undefined && /^src\/(client|embedded|testing)\//.test(source);
    return isClients ? [{ name: path.replace(".", "tandem"), source }] : [];
  });
}
