/**
 * A line to a server that can be cut: the sockets stay open, nothing goes through, new ones get no answer; as when a
 * cable is pulled. Healing ends what was cut, so that both sides begin anew.
 */
import { connect, createServer, type Socket } from "node:net";

export interface CutLine {
  readonly port: number;
  cut(): void;
  heal(): void;
  close(): Promise<void>;
}

/** Listens on a free port, or at an address of its own, and passes everything to `port`. */
export async function startProxy(port: number, at = { host: "127.0.0.1", port: 0 }): Promise<CutLine> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  };
  const server = createServer((near) => {
    keep(near);
    if (isCut) {
      near.pause();
      return;
    }
    const far = connect(port, "127.0.0.1");
    keep(far);
    near.pipe(far);
    far.pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  await new Promise<void>((done) => server.listen(at.port, at.host, done));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    cut() {
      isCut = true;
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    heal() {
      isCut = false;
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
