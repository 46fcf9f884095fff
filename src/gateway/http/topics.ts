/**
 * DTM's routes about topics and key-values (S-HTTP-23…27, 70…75). GETs that write are taken as POST, too (S-ODD-11).
 */
import { keyValueJson } from "../../wire/encode.js";
import type { Operations } from "../operations.js";
import { replyAnswer, valueAnswer } from "./answer.js";
import { readLimit } from "./query.js";
import type { Route } from "./route.js";

/** The routes below `base`. */
export function topicRoutes(base: string, operations: Operations): readonly Route[] {
  return [
    {
      methods: ["GET", "POST"],
      path: `${base}/subscribe`,
      name: "subscribe",
      handle: async ({ query }) =>
        replyAnswer(await operations.subscribe(query("topic"), query("url"), query("remark"))),
    },
    {
      methods: ["GET", "POST"],
      path: `${base}/unsubscribe`,
      name: "unsubscribe",
      handle: async ({ query }) => replyAnswer(await operations.unsubscribe(query("topic"), query("url"))),
    },
    {
      methods: ["DELETE"],
      path: `${base}/topic/:topicName`,
      name: "topic",
      handle: async ({ param }) => replyAnswer(await operations.deleteTopic(param("topicName"))),
    },
    {
      methods: ["GET"],
      path: `${base}/queryKV`,
      name: "querykv",
      handle: async ({ query }) => {
        const found = await operations.queryKeyValues(query("cat"), query("key"));
        return valueAnswer({ kv: found.map(keyValueJson) });
      },
    },
    {
      methods: ["GET"],
      path: `${base}/scanKV`,
      name: "scankv",
      handle: async ({ query }) => {
        const page = await operations.scanKeyValues(query("cat"), query("position"), readLimit(query("limit")));
        return valueAnswer({ kv: page.entries.map(keyValueJson), next_position: page.next ?? "" });
      },
    },
  ];
}
