/**
 * `tandem topics …`: subscriptions of messages, over DTM's own routes.
 */
import type { Api } from "./api.js";
import { CliError } from "./exit.js";
import { printable, type Terminal, tableLines } from "./terminal.js";

interface Topic {
  readonly name: string;
  readonly version: number;
  readonly subscribers: readonly { readonly url: string; readonly remark: string }[];
}

/** All topics with their subscribers, a line each. */
export async function listTopics(api: Api, terminal: Terminal, json: boolean): Promise<void> {
  const topics = await allTopics(api);
  if (json) return terminal.out(JSON.stringify(topics, undefined, 2));
  if (topics.length === 0) return terminal.err("no topics; add one with: tandem topics subscribe TOPIC URL");
  const rows = topics.flatMap((topic) =>
    topic.subscribers.length === 0
      ? [[printable(topic.name), "(nobody)", ""]]
      : topic.subscribers.map(({ url, remark }) => [printable(topic.name), printable(url), printable(remark)]),
  );
  for (const line of tableLines(["topic", "subscriber", "remark"], rows, terminal)) terminal.out(line);
}

/** Adds a subscriber; messages submitted from now on reach it. */
export async function subscribe(api: Api, terminal: Terminal, topic: string, url: string, remark: string) {
  await api.get("/api/dtmsvr/subscribe", { topic, url, remark });
  terminal.err(`${url} is told of '${topic}' from now on`);
}

/** Removes one subscriber. */
export async function unsubscribe(api: Api, terminal: Terminal, topic: string, url: string): Promise<void> {
  await api.get("/api/dtmsvr/unsubscribe", { topic, url });
  terminal.err(`${url} is told of '${topic}' no longer`);
}

/** Removes a topic with all its subscribers; messages already submitted are still delivered. */
export async function deleteTopic(api: Api, terminal: Terminal, topic: string): Promise<void> {
  await api.send("DELETE", `/api/dtmsvr/topic/${encodeURIComponent(topic)}`);
  terminal.err(`topic '${topic}' is gone`);
}

async function allTopics(api: Api): Promise<readonly Topic[]> {
  const topics: Topic[] = [];
  let position = "";
  do {
    const page = (await api.get("/api/dtmsvr/scanKV", { cat: "topics", position, limit: "500" })) as {
      readonly kv?: readonly { readonly k: string; readonly v: string; readonly version: number }[];
      readonly next_position?: string;
    };
    for (const { k, v, version } of page.kv ?? []) topics.push({ name: k, version, subscribers: subscribersIn(k, v) });
    position = page.next_position ?? "";
  } while (position !== "");
  return topics;
}

function subscribersIn(topic: string, value: string): Topic["subscribers"] {
  const list: unknown = JSON.parse(value);
  if (!Array.isArray(list)) throw new CliError("failed", `topic '${topic}' is stored in a form that is not known here`);
  return list.map((one: { readonly url?: unknown; readonly remark?: unknown }) => ({
    url: String(one.url ?? ""),
    remark: String(one.remark ?? ""),
  }));
}
