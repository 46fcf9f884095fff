// The participants, as a process of their own: an HTTP/1.1 server of the least possible cost (raw sockets, ready-made
// answers) and a gRPC one on bare HTTP/2, so that what is measured is the coordinator. Reports completions to its
// parent over file descriptor 3 as pairs of doubles: index of the transaction (-1 - index for a repeated call),
// microseconds of the machine's monotonic clock.
import { createServer as createHttp2 } from "node:http2";
import { createServer, Socket } from "node:net";
import { indexOf, isPattern, SeenCalls } from "./calls.js";
import { monotonicUs } from "./clock.js";

const accepted = answer("200 OK", '{"dtm_result":"SUCCESS"}');
const refused = answer("409 Conflict", '{"dtm_result":"FAILURE","message":"refused by the benchmark"}');
const headEnd = Buffer.from("\r\n\r\n");

const calls = new SeenCalls();
const parent = new Socket({ fd: 3 });
let report: number[] = [];

function answer(status: string, body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function flush(): void {
  parent.write(Buffer.from(new Float64Array(report).buffer));
  report = [];
}

function parameter(target: string, name: string): string {
  const at = target.indexOf(`${name}=`);
  if (at < 0) return "";
  const from = at + name.length + 1;
  const to = target.indexOf("&", from);
  return target.slice(from, to < 0 ? undefined : to);
}

/** One call of a branch at `/PATTERN/accept|refuse`; whether it is accepted. */
function handle(path: string, gid: string, branchId: string, op: string): boolean {
  const [, pattern = "", verdict = ""] = path.split("/", 3);
  if (!isPattern(pattern) || gid === "") throw new Error(`not a call of a branch: ${path}`);
  const index = indexOf(gid);
  const meaning = calls.see(pattern, index, branchId, op);
  if (meaning !== "progress") {
    if (report.length === 0) setImmediate(flush);
    report.push(meaning === "completes" ? index : -1 - index, monotonicUs());
  }
  return verdict !== "refuse" || op !== "action";
}

/** `target` has the query that the coordinator added. */
function handleHttp(target: string): Buffer {
  const path = target.slice(0, target.indexOf("?"));
  return handle(path, parameter(target, "gid"), parameter(target, "branch_id"), parameter(target, "op"))
    ? accepted
    : refused;
}

/** Answers every complete request at the start of `bytes`; returns what is left. */
function serve(socket: Socket, bytes: Buffer): Buffer {
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf(headEnd);
    if (end < 0) return rest;
    const head = rest.toString("latin1", 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? "0";
    if (/\r\ntransfer-encoding:/i.test(head)) throw new Error("chunked requests are not read here");
    const total = end + headEnd.length + Number(length);
    if (rest.length < total) return rest;
    socket.write(handleHttp(head.slice(head.indexOf(" ") + 1, head.indexOf(" HTTP/"))));
    rest = rest.subarray(total);
  }
}

const grpc = createHttp2();
const emptyMessage = Buffer.alloc(5);
grpc.on("stream", (stream, headers) => {
  const told = (name: string) => String(headers[name] ?? "");
  const isAccepted = handle(told(":path"), told("dtm-gid"), told("dtm-branch_id"), told("dtm-op"));
  stream.on("error", () => {}).resume();
  if (isAccepted) {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(emptyMessage);
  } else
    stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "10" }, { endStream: true });
});

/** HTTP/1.1 and HTTP/2 on one port: the first bytes of a connection tell. */
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.once("readable", () => {
    const first = socket.read() as Buffer | null;
    if (first === null) return;
    if (first.toString("latin1", 0, 3) === "PRI") {
      socket.unshift(first);
      grpc.emit("connection", socket);
      return;
    }
    let rest = serve(socket, first);
    socket.on("data", (bytes) => {
      rest = serve(socket, rest.length === 0 ? bytes : Buffer.concat([rest, bytes]));
    });
  });
});

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") process.send?.({ port: address.port });
});
process.on("disconnect", () => process.exit(0));
