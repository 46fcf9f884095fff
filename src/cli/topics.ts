/**
 * `tandem topics …`: subscriptions of messages, over DTM's routes and `/api/v1`.
 */
import type { Api } from "./api.js";
import { printable, type Terminal, tableLines } from "./terminal.js";
import { type Fields, fields, list, text } from "./transactions/answers.js";

/** All topics with their subscribers, a line each. */
export async function listTopics(api: Api, terminal: Terminal, json: boolean): Promise<void> {
  const topics = await allTopics(api);
  if (json) return terminal.out(JSON.stringify(topics, undefined, 2));
  if (topics.length === 0) return terminal.err("no topics; add one with: tandem topics subscribe TOPIC URL");
  const rows = topics.flatMap((topic) => {
    const subscribers = list(topic.subscribers).map(fields);
    if (subscribers.length === 0) return [[printable(text(topic.topic)), "(nobody)", ""]];
    return subscribers.map(({ url, remark }) => [text(topic.topic), text(url), text(remark)].map(printable));
  });
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

/** Topics as the server gives them, page by page. */
async function allTopics(api: Api): Promise<readonly Fields[]> {
  const topics: Fields[] = [];
  let cursor = "";
  do {
    const page = fields(await api.get("/api/v1/topics", { cursor: cursor || undefined, limit: "500" }));
    topics.push(...list(page.topics).map(fields));
    cursor = text(page.next);
  } while (cursor !== "");
  return topics;
}
