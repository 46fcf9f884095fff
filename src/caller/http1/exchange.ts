/**
 * Plain HTTP by our own client, for the call that a coordinator makes most: small request, small answer, kept-alive
 * connection. TLS goes by undici.
 */
import type { LookupFunction } from "node:net";
import type { Exchange } from "../exchange.js";
import type { HttpLimits } from "../undici.js";
import { Pool } from "./pool.js";

const sweepMs = 500;

/** Knows a pool per origin; pools without connections are forgotten. */
export function createHttp1Exchange(limits: HttpLimits, lookup: LookupFunction): Exchange {
  const pools = new Map<string, Pool>();
  let timer: NodeJS.Timeout | undefined;
  const sweep = () => {
    for (const [origin, pool] of pools) {
      pool.sweep();
      if (pool.isEmpty) pools.delete(origin);
    }
    if (pools.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    send: (request, done) => {
      const { origin, host, port } = request.url;
      let pool = pools.get(origin);
      if (pool === undefined) {
        pool = new Pool({ host, port, lookup }, limits);
        pools.set(origin, pool);
        timer ??= setInterval(sweep, sweepMs).unref();
      }
      return pool.send(request, done);
    },
    close: async () => {
      clearInterval(timer);
      timer = undefined;
      for (const pool of pools.values()) pool.close();
      pools.clear();
    },
  };
}
