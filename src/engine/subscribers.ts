/**
 * Topic → URLs, read from the store in the turn that creates a message, so that no cache can be stale (architecture 3).
 */
import type { Submission } from "../core/input.js";
import { topicScheme } from "../core/pattern/msg.js";
import type { Topics } from "../core/pattern/pattern.js";
import { type KeyValues, topicCategory } from "../ports/topics.js";

/** Whether a submission needs `readTopics`. */
export function namesTopics(submission: Submission): boolean {
  return submission.type === "msg" && submission.steps.some(({ action }) => action.startsWith(topicScheme));
}

/** Subscribers of all topics that the submission names; unknown topics are absent. @throws StoreUnavailable */
export async function readTopics(keyValues: KeyValues, submission: Submission): Promise<Topics> {
  const names = submission.steps.filter(({ action }) => action.startsWith(topicScheme));
  const topics = new Map<string, readonly string[]>();
  for (const name of new Set(names.map(({ action }) => action.slice(topicScheme.length)))) {
    const entry = await keyValues.get(topicCategory, name);
    if (entry !== undefined)
      topics.set(
        name,
        subscribersOf(entry.value).map(({ url }) => url),
      );
  }
  return topics;
}

/** One subscriber as it is stored (S-HTTP-70). */
export interface Subscriber {
  readonly url: string;
  readonly remark: string;
}

/** Value of a topic's entry. */
export function subscribersOf(value: string): readonly Subscriber[] {
  return JSON.parse(value) as readonly Subscriber[];
}
