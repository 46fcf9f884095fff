/**
 * Participants over gRPC: one unary call with the payload's bytes as message (S-BR-30…35). Over `node:http2` by our own
 * hand, because the library's client fixes the content type, and costs more than twice the time.
 */
import type { OutgoingHttpHeaders } from "node:http2";
import type { Answer, Call } from "../../ports/caller.js";
import { encodeTimeout } from "../../wire/grpc.js";
import { ProtobufWriter } from "../../wire/protobuf.js";
import type { Ending } from "../ending.js";
import { Limit } from "../limit.js";
import type { Resolve } from "../resolve.js";
import { judgeGrpc, unknown } from "../result.js";
import type { TlsProfiles } from "../tls.js";
import type { GrpcUrl } from "../url.js";
import { Channel } from "./channel.js";
import type { Ended, Session } from "./session.js";

/** What DTM sends; servers of every language take it for gRPC, since it begins like it. */
export const rawContentType = "application/grpc+dtm_raw";

/** Channels that nobody used for so long are closed. */
const idleMs = 5 * 60_000;
const sweepMs = 10_000;

/** Makes gRPC calls over channels that it keeps, one per target. */
export class GrpcCaller {
  readonly #tls: TlsProfiles;
  readonly #resolve: Resolve;
  readonly #channels = new Map<string, Channel>();
  #timer: NodeJS.Timeout | undefined;

  constructor(tls: TlsProfiles, resolve: Resolve) {
    this.#tls = tls;
    this.#resolve = resolve;
  }

  /** Never rejects. A call that the peer surely did not look at is made once more; no other is. */
  call(url: GrpcUrl, call: Call, ending: Ending): Promise<Answer> {
    const unfit = unfitId(call);
    if (unfit !== undefined) return Promise.resolve({ ...unknown(unfit), isWell: true });
    const headers = headersOf(url, call, this.#secure(url));
    const message = call.type === "workflow" ? new ProtobufWriter().bytes(1, call.payload).finish() : call.payload;
    const channel = this.#channel(url);
    return new Promise((resolve) => {
      const limit = new Limit(call.timeoutMs, ending, resolve);
      if (limit.isOver) return;
      let stop = () => {};
      limit.guard(() => stop());
      const attempt = (again: boolean): void => {
        let session: Session | undefined;
        const use = (found: Session) => {
          session = found;
          stop = found.call(headers, message, (ended) => {
            if (ended.kind === "refused" && again) attempt(false);
            else limit.settle(answerOf(ended));
          });
        };
        const leave = channel.take(use, (error) => limit.settle(unknown(error.message)));
        if (session === undefined) stop = leave;
      };
      attempt(true);
    });
  }

  close(): void {
    clearInterval(this.#timer);
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  #secure({ secure, host, port }: GrpcUrl): boolean {
    return secure || this.#tls.isNamed(host, port);
  }

  #channel(url: GrpcUrl): Channel {
    const known = this.#channels.get(url.origin);
    if (known !== undefined) return known;
    const { host, port, authority } = url;
    const tls = this.#secure(url) ? { ...this.#tls.of(host, port), servername: host } : undefined;
    const channel = new Channel({ host, port, authority, tls }, this.#resolve);
    this.#channels.set(url.origin, channel);
    this.#timer ??= setInterval(() => this.#sweep(), sweepMs).unref();
    return channel;
  }

  #sweep(): void {
    const beforeMs = performance.now() - idleMs;
    for (const [origin, channel] of this.#channels) {
      if (channel.usedAtMs > beforeMs || !channel.isIdle) continue;
      this.#channels.delete(origin);
      channel.close();
    }
  }
}

function answerOf(ended: Ended): Answer {
  switch (ended.kind) {
    case "status":
      return judgeGrpc(ended.code, ended.message);
    case "refused":
      return unknown("the participant takes no more calls on this connection");
    case "broken":
      return unknown(ended.why);
  }
}

/**
 * Why the call's identity cannot be told: metadata is printable ASCII, and a server may drop or trim what is not. A
 * participant that does not know which branch it is called for must not run.
 */
function unfitId({ gid, branchId, op }: Call): string | undefined {
  const ids = { gid, branch_id: branchId, op };
  const unfit = Object.entries(ids).filter(([, text]) => !/^(?! )[\x20-\x7e]*(?<! )$/.test(text));
  if (unfit.length === 0) return undefined;
  const names = unfit.map(([name]) => name).join(", ");
  return `not called: gRPC metadata carries printable ASCII without outer blanks only, which ${names} is not`;
}

/** Metadata of S-BR-33 after what HTTP/2 and gRPC need; the branch's own over ours, but not over gRPC's. */
function headersOf(url: GrpcUrl, call: Call, secure: boolean): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {
    ":method": "POST",
    ":scheme": secure ? "https" : "http",
    ":path": url.method,
    ":authority": url.authority,
    te: "trailers",
    "content-type": rawContentType,
    "grpc-timeout": encodeTimeout(call.timeoutMs),
    "user-agent": "tandem",
    "dtm-gid": call.gid,
    "dtm-trans_type": call.type,
    "dtm-branch_id": call.branchId,
    "dtm-op": call.op,
    "dtm-dtm": "",
  };
  for (const [name, value] of Object.entries(call.headers)) {
    const key = name.toLowerCase();
    if (!/^[a-z0-9_.-]+$/.test(key) || key.startsWith("grpc-") || connectionHeaders.has(key)) continue;
    headers[key] = key.endsWith("-bin") ? Buffer.from(value, "utf8").toString("base64") : wireText(value);
  }
  return headers;
}

const connectionHeaders: ReadonlySet<string> = new Set([
  ...["te", "content-type", "content-length", "user-agent", "host", "connection", "keep-alive", "proxy-connection"],
  ...["transfer-encoding", "upgrade", "http2-settings", "expect"],
]);

/** Bytes of UTF-8 one by one as characters: so they go over the wire as they are. */
function wireText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");
}
