// A TCP proxy before the database that cuts connections at chosen moments of a flush.
import { connect, createServer, type Socket } from "node:net";

/**
 * `pass`: nothing happens. `loseCommit`: the next packet with a COMMIT is not delivered and its connection ends.
 * `loseAnswer`: it is delivered, its connection ends instead of the answer. `silence`: it is delivered, and no answer
 * ever comes. `refuse`: no connection is taken and all end.
 */
export type ProxyMode = "pass" | "loseCommit" | "loseAnswer" | "silence" | "refuse";

export interface Gate {
  mode: ProxyMode;
  /** The database's address with the proxy's place. */
  readonly url: string;
  /** How often a mode other than `pass` and `refuse` took effect; it does so once, then passes. */
  readonly struck: number;
  close(): Promise<void>;
}

/** Starts a proxy to the server of a database's address. */
export async function startProxy(databaseUrl: string): Promise<Gate> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let mode: ProxyMode = "pass";
  let struck = 0;
  const server = createServer((client) => {
    if (mode === "refuse") return void client.destroy();
    const upstream = connect(Number(target.port), target.hostname);
    const both = [client, upstream];
    const end = (): void => both.forEach((socket) => void socket.destroy());
    for (const socket of both) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    let deaf: "cut" | "silent" | undefined;
    client.on("data", (data) => {
      const strikes = mode !== "pass" && mode !== "refuse" && data.includes("; COMMIT");
      if (strikes) {
        deaf = mode === "silence" ? "silent" : "cut";
        const lost = mode === "loseCommit";
        mode = "pass";
        struck++;
        if (lost) return end();
      }
      upstream.write(data);
    });
    upstream.on("data", (data) => {
      if (deaf === "cut") end();
      else if (deaf === undefined) client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = new URL(databaseUrl);
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    get mode() {
      return mode;
    },
    set mode(wanted) {
      mode = wanted;
      if (wanted === "refuse") for (const socket of sockets) socket.destroy();
    },
    get struck() {
      return struck;
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
