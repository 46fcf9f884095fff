/**
 * Where gateways count what they serve, and where gauges are read from. Labels come from fixed tables, never from what
 * a client sent, so that the number of series is bounded.
 */

/** Counts one API of one protocol. */
export interface ServedMeter {
  /** `status` is the protocol's own: of HTTP, which NATS has too, or gRPC's code. */
  served(ok: boolean, durationMs: number, status: number): void;
}

/** Values of a gauge, each with its labels. */
export type GaugeValues = readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];

export interface Meters {
  /** Meter of an API; to be kept, looking it up costs more than counting. */
  api(type: string, api: string): ServedMeter;
  /** Adds a gauge that is read at each scrape; when that fails it has no sample, and the rest of the page is there. */
  gauge(
    name: string,
    help: string,
    labelNames: readonly string[],
    read: () => GaugeValues | Promise<GaugeValues>,
  ): void;
  /** Adds a counter that is kept elsewhere, read at each scrape as a gauge is. */
  total(name: string, help: string, labelNames: readonly string[], read: () => GaugeValues): void;
  /** The page for Prometheus and its content type. */
  page(): Promise<{ readonly type: string; readonly body: string }>;
}
