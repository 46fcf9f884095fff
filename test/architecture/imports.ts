/**
 * Who may import whom (architecture 2): the core nothing but itself, `src` nothing of `cluster`, adapters neither each
 * other nor the engine, gateways and clients neither engine nor store, and a driver only by its adapter.
 */
import { type Finding, type Import, importsOf, packageOf, type Source } from "./tree.js";

/** What the files below a folder may import. The first zone that fits a path counts. */
interface Zone {
  readonly folder: string;
  /** Files or folders; `.` is the zone's own folder. */
  readonly may: readonly string[];
  readonly mayNot: readonly string[];
}

/** Known to all: what there is to say, and one data structure. */
const contracts = ["src/core", "src/ports", "src/slotmap.ts"];

/** A composition root knows everybody of its side. */
const roots: readonly Zone[] = [
  { folder: "src/node.ts", may: ["src"], mayNot: ["cluster"] },
  { folder: "src/stores.ts", may: ["src/config", "src/ports", "src/store"], mayNot: ["cluster"] },
  { folder: "src/node", may: ["src"], mayNot: ["cluster"] },
  { folder: "src/cli", may: ["src"], mayNot: ["cluster"] },
  { folder: "src/embedded", may: ["src"], mayNot: ["cluster"] },
  { folder: "src/testing", may: ["src"], mayNot: ["cluster"] },
  { folder: "src/demo", may: ["src"], mayNot: ["cluster"] },
  { folder: "src/index.ts", may: ["src"], mayNot: ["cluster"] },
  { folder: "cluster/node.ts", may: ["src", "cluster"], mayNot: [] },
  { folder: "cluster/thread.ts", may: ["src", "cluster"], mayNot: [] },
  { folder: "cluster/threads.ts", may: ["src", "cluster"], mayNot: [] },
  { folder: "cluster/natsline.ts", may: ["src", "cluster"], mayNot: [] },
  { folder: "cluster/main.ts", may: ["src", "cluster"], mayNot: [] },
];

/** Most special folders first. Files right below `src/store` and its like serve all adapters of that kind. */
const zones: readonly Zone[] = [
  ...roots,
  { folder: "src/core", may: ["src/core"], mayNot: [] },
  { folder: "src/ports", may: contracts, mayNot: [] },
  { folder: "src/wire", may: [...contracts, "."], mayNot: [] },
  { folder: "src/engine", may: [...contracts, "."], mayNot: [] },
  { folder: "src/store/*", may: [...contracts, ".", "src/store/"], mayNot: [] },
  { folder: "src/store", may: [...contracts, "."], mayNot: [] },
  { folder: "src/caller/*", may: [...contracts, "src/wire", ".", "src/caller/"], mayNot: [] },
  { folder: "src/caller", may: [...contracts, "src/wire", "."], mayNot: [] },
  { folder: "src/gateway/*", may: [...contracts, "src/wire", "src/metrics", ".", "src/gateway/"], mayNot: [] },
  { folder: "src/gateway", may: [...contracts, "src/wire", "src/metrics", "."], mayNot: [] },
  { folder: "src/client", may: [...contracts, "src/wire", "."], mayNot: [] },
  { folder: "cluster/bus/*", may: [...contracts, ".", "cluster/bus/"], mayNot: [] },
  { folder: "cluster", may: [...contracts, "src/wire", "src/engine", "cluster"], mayNot: ["src/core/pattern"] },
  { folder: "src", may: [...contracts, "src/wire", "."], mayNot: ["src/engine", "src/store", "cluster"] },
];

/** Every import that crosses a line. */
export function forbiddenImports(files: readonly Source[]): readonly Finding[] {
  return files.flatMap((file) => {
    const zone = zoneOf(file.path);
    if (zone === undefined) return [];
    const own = ownFolder(zone, file.path);
    return importsOf(file)
      .filter((wanted) => wanted.path !== undefined && !allowed(zone, own, wanted.path))
      .map(({ path, line }) => ({ path: file.path, line, problem: `imports ${path}, which ${own} must not know` }));
  });
}

function zoneOf(path: string): Zone | undefined {
  return zones.find(({ folder }) => {
    if (!folder.endsWith("/*")) return path === folder || path.startsWith(`${folder}/`);
    const rest = path.slice(folder.length - 1);
    return path.startsWith(folder.slice(0, -1)) && rest.includes("/");
  });
}

function ownFolder(zone: Zone, path: string): string {
  if (!zone.folder.endsWith("/*")) return zone.folder;
  return path.split("/").slice(0, zone.folder.split("/").length).join("/");
}

function allowed({ may, mayNot }: Zone, own: string, path: string): boolean {
  if (mayNot.some((folder) => path === folder || path.startsWith(`${folder}/`))) return false;
  return may.some((entry) => {
    if (entry === ".") return path.startsWith(`${own}/`);
    if (entry.endsWith("/")) return path.startsWith(entry) && !path.slice(entry.length).includes("/");
    return path === entry || path.startsWith(`${entry}/`);
  });
}

/** Driver → the folders or files that are its adapters. Packages not named here may be imported outside the core. */
const drivers: Readonly<Record<string, readonly string[]>> = {
  lmdb: ["src/store/lmdb"],
  mysql2: ["src/store/mysql", "src/client"],
  pg: ["src/store/postgres", "src/client"],
  ioredis: ["src/store/redis", "src/client"],
  mongodb: ["src/store/mongo", "src/client"],
  nats: ["cluster/bus/nats", "src/gateway/nats", "src/caller/nats", "src/client/nats", "src/embedded"],
  undici: ["src/caller", "src/client"],
  "@grpc/grpc-js": ["src/caller/grpc", "src/gateway/grpc", "src/client"],
  "@grpc/reflection": ["src/gateway/grpc"],
  "grpc-health-check": ["src/gateway/grpc"],
  protobufjs: ["src/wire", "src/caller/grpc", "src/gateway/grpc", "src/client"],
  fastify: ["src/gateway", "src/client"],
  express: ["src/client"],
  "@opentelemetry/api": ["src/client/opentelemetry"],
  hono: ["src/client"],
  "@nestjs/common": ["src/client"],
  rxjs: ["src/client"],
  pino: ["src/log", "src/node", "src/cli", "cluster/node"],
  "prom-client": ["src/metrics", "src/node", "src/gateway"],
  commander: ["src/cli"],
  yaml: ["src/config", "src/cli"],
};

/** Every import of a driver outside its adapter; types count too, because they are the driver's words. */
export function strayDrivers(files: readonly Source[]): readonly Finding[] {
  return files.flatMap((file) =>
    importsOf(file).flatMap((wanted) => {
      const problem = stray(file.path, wanted);
      return problem === undefined ? [] : [{ path: file.path, line: wanted.line, problem }];
    }),
  );
}

function stray(path: string, { specifier, path: resolved }: Import): string | undefined {
  if (resolved !== undefined || specifier.startsWith("node:")) return undefined;
  const driver = packageOf(specifier);
  const adapters = drivers[driver];
  if (adapters === undefined || adapters.some((folder) => path.startsWith(folder))) return undefined;
  return `imports ${driver}, the driver of ${adapters.join(" and ")}`;
}
