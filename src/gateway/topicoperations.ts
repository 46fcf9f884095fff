/**
 * Topics and key-values (S-HTTP-70…75, D29). A topic is one key-value; changes compare its version, so that of two
 * subscribers at the same moment none is lost.
 */
import { type Refusal, type Reply, refused } from "../core/input.js";
import { type KeyValue, topicCategory } from "../ports/topics.js";
import { readName, wellFormed } from "../wire/identifier.js";
import { InvalidInput } from "../wire/invalid.js";
import { checkUrlText } from "../wire/url.js";
import { fromPosition, mustHaveRoom } from "./failure.js";
import { anyProtocol, type OperationsDeps, type UrlCheck } from "./operations.js";

/** One page of key-values. */
export interface KeyValuePage {
  readonly entries: readonly KeyValue[];
  readonly next: string | undefined;
}

/** A subscriber as the value of a topic holds it. */
export interface Subscriber {
  readonly url: string;
  readonly remark: string;
}

export interface TopicOperations {
  subscribe(topic: string, url: string, remark: string): Promise<Reply>;
  unsubscribe(topic: string, url: string): Promise<Reply>;
  deleteTopic(topic: string): Promise<Reply>;
  /** Empty category or key = any. */
  queryKeyValues(category: string, key: string): Promise<readonly KeyValue[]>;
  scanKeyValues(category: string, position: string, limit: number): Promise<KeyValuePage>;
}

/** Most subscribers of one topic, as a msg has at most so many branches. */
const subscribersMax = 1000;
const remarkCharacters = 1024;
/** Tries of a change that others overtake, before the client is asked to try again. */
const triesMax = 64;
/** Most entries that one query of all returns. */
const queryMax = 10_000;

type Change = (subscribers: readonly Subscriber[] | undefined) => readonly Subscriber[] | Refusal;

export function topicOperations(deps: OperationsDeps, checkUrl: UrlCheck): TopicOperations {
  const { keyValues, clock, limits, isSwamped } = deps;
  const change = async (topic: string, next: Change): Promise<Reply> => {
    for (let tries = 0; tries < triesMax; tries++) {
      const stored = await keyValues.get(topicCategory, topic);
      const changed = next(stored && subscribersOf(stored));
      if ("kind" in changed) return changed;
      const value = JSON.stringify(changed);
      if (await keyValues.put(topicCategory, topic, value, stored?.version ?? 0, clock.nowMs()))
        return { kind: "accepted" };
    }
    return { ...refused("UNAVAILABLE", "the topic is being changed by many others, ask again"), retryAfterS: 1 };
  };
  return {
    async subscribe(topic, url, remark) {
      complete(topic, url);
      checkUrlText("url", url, limits);
      checkUrl("url", url, anyProtocol);
      if (remark.length > remarkCharacters)
        throw new InvalidInput(`remark: longer text met, at most ${remarkCharacters} characters needed`);
      return change(topic, (subscribers = []) => {
        if (subscribers.some((subscriber) => subscriber.url === url)) return refused("REFUSED", "this url exists");
        if (subscribers.length >= subscribersMax)
          return refused("BAD_REQUEST", `topic: ${subscribersMax} subscribers met, no more are allowed`);
        return [...subscribers, { url, remark: wellFormed(remark) }];
      });
    },
    async unsubscribe(topic, url) {
      complete(topic, url);
      return change(topic, (subscribers) => {
        if (subscribers === undefined) return refused("NOT_FOUND", "no such a topic");
        if (subscribers.length === 0) return refused("NOT_FOUND", "this topic is empty");
        const left = subscribers.filter((subscriber) => subscriber.url !== url);
        return left.length === subscribers.length ? refused("NOT_FOUND", "no such an url ") : left;
      });
    },
    async deleteTopic(topic) {
      readName("topic", topic);
      const removed = await keyValues.remove(topicCategory, topic);
      return removed ? { kind: "accepted" } : refused("NOT_FOUND", "no such a topic");
    },
    async queryKeyValues(category, key) {
      mustHaveRoom(isSwamped);
      if (category !== "" && key !== "") {
        const found = await keyValues.get(category, key);
        return found === undefined ? [] : [found];
      }
      const all: KeyValue[] = [];
      for (let after: string | undefined, more = true; more && all.length < queryMax; more = after !== undefined) {
        const page = await keyValues.scan(category, after, 1000);
        all.push(...page.entries.filter((entry) => key === "" || entry.key === key));
        after = page.next;
      }
      return all;
    },
    async scanKeyValues(category, position, limit) {
      mustHaveRoom(isSwamped);
      return fromPosition(() => keyValues.scan(category, position === "" ? undefined : position, limit));
    },
  };
}

/** DTM's words for what is missing (S-HTTP-71). */
function complete(topic: string, url: string): void {
  if (topic === "") throw new InvalidInput("empty topic");
  if (url === "") throw new InvalidInput("empty url");
  readName("topic", topic);
}

/** Subscribers that a topic's value holds. */
export function subscribersOf(topic: KeyValue): readonly Subscriber[] {
  return JSON.parse(topic.value) as readonly Subscriber[];
}
