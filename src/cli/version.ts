/** The version of the package this file belongs to, compiled or not. */
import { existsSync, readFileSync } from "node:fs";

/** Version from the nearest package.json above; `unknown` outside of a package. */
export function packageVersion(): string {
  for (let folder = new URL(".", import.meta.url); ; folder = new URL("..", folder)) {
    const file = new URL("package.json", folder);
    if (existsSync(file)) {
      const { version } = JSON.parse(readFileSync(file, "utf8")) as { readonly version?: string };
      return version ?? "unknown";
    }
    if (folder.pathname === "/" || folder.href === new URL("..", folder).href) return "unknown";
  }
}
