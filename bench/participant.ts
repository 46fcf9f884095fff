// The participants, as a process of their own: an HTTP/1.1 server of the least possible cost (raw sockets, ready-made
// answers),
// so that what is measured is the coordinator. Reports completions to its parent over file descriptor 3 as pairs of
// doubles: index of the transaction (-1 - index for a repeated call), microseconds of the machine's monotonic clock.
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

/** `target` is `/PATTERN/accept|refuse?…`, the query added by the coordinator. */
function handle(target: string): Buffer {
  const [, pattern = "", verdict = ""] = target.split(/[/?]/, 3);
  const gid = parameter(target, "gid");
  const op = parameter(target, "op");
  if (!isPattern(pattern) || gid === "") throw new Error(`not a call of a branch: ${target}`);
  const index = indexOf(gid);
  const meaning = calls.see(pattern, index, parameter(target, "branch_id"), op);
  if (meaning !== "progress") {
    if (report.length === 0) setImmediate(flush);
    report.push(meaning === "completes" ? index : -1 - index, monotonicUs());
  }
  return verdict === "refuse" && op === "action" ? refused : accepted;
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
    socket.write(handle(head.slice(head.indexOf(" ") + 1, head.indexOf(" HTTP/"))));
    rest = rest.subarray(total);
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    rest = serve(socket, rest.length === 0 ? bytes : Buffer.concat([rest, bytes]));
  });
});

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") process.send?.({ port: address.port });
});
process.on("disconnect", () => process.exit(0));
