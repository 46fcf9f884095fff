// The clock on which load generator and participants agree although they are two processes.

/** Microseconds of the machine's monotonic clock: comparable between processes, not between machines. */
export function monotonicUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + nanoseconds / 1e3;
}
