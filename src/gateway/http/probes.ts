/**
 * For those who watch: metrics page, liveness and readiness.
 */
import { textType, valueAnswer } from "./answer.js";
import type { HttpGatewayDeps } from "./gateway.js";
import type { Route } from "./route.js";

/** `/api/metrics`, `/healthz` (the process answers), `/readyz` (it can record transactions). */
export function probeRoutes({ metrics, stats }: Pick<HttpGatewayDeps, "metrics" | "stats">): readonly Route[] {
  const get = (path: string, handle: Route["handle"]): Route => ({
    methods: ["GET"],
    path,
    name: path.slice(1),
    uncounted: true,
    handle,
  });
  return [
    get("/api/metrics", async () => ({ status: 200, ...(await metrics.page()) })),
    get("/healthz", () => ({ status: 200, type: textType, body: "ok" })),
    get("/readyz", () => {
      const { storeUnavailableMs, overloaded, recovering } = stats();
      const ready = storeUnavailableMs === undefined;
      const answer = valueAnswer({ ready, store: ready ? "available" : "unavailable", overloaded, recovering });
      return ready ? answer : { ...answer, status: 503 };
    }),
  ];
}
