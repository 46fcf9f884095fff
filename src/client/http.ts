// The coordinator's HTTP API as an endpoint, over the global fetch.

import type { ApiAnswer, ApiBody, Endpoint, Operation } from "./api.js";
import { invalidInput } from "./errors.js";

/** The part of fetch that is used; pass another to go through a proxy, an agent or a recorder. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Path of DTM's API, added to an address without a path. */
const apiPath = "/api/dtmsvr";

const verbs: Partial<Record<Operation, string>> = {
  newGid: "GET",
  query: "GET",
  subscribe: "GET",
  unsubscribe: "GET",
  deleteTopic: "DELETE",
};

/**
 * An endpoint at `http://host:port`, or at a full base URL. Throws DTX_INVALID_INPUT for anything that is no http(s)
 * URL.
 */
export function httpEndpoint(address: string, fetch: Fetch = globalThis.fetch): Endpoint {
  const base = baseUrl(address);
  return {
    address: base,
    async call(operation, body, signal) {
      const { url, init } = request(base, operation, body);
      const response = await fetch(url, { ...init, signal, redirect: "manual" });
      return { status: response.status, body: parse(await response.text()) };
    },
  };
}

function request(base: string, operation: Operation, body: ApiBody): { url: string; init: RequestInit } {
  const method = verbs[operation] ?? "POST";
  if (method === "POST") {
    const headers = { "content-type": "application/json" };
    return { url: `${base}/${operation}`, init: { method, headers, body: jsonBody(body) } };
  }
  if (operation === "deleteTopic") {
    return { url: `${base}/topic/${encodeURIComponent(String(body.topic))}`, init: { method } };
  }
  const parameters = new URLSearchParams(
    Object.entries(body).map(([key, value]): [string, string] => [key, String(value)]),
  );
  return { url: `${base}/${operation}?${parameters}`, init: { method } };
}

/** A body as JSON text; payloads that are bytes in a form that Tandem knows, and that DTM's own server refuses. */
export function jsonBody(body: ApiBody): string {
  const { payloads, data } = body;
  if (!(data instanceof Uint8Array || (Array.isArray(payloads) && payloads.some(isBytes)))) return JSON.stringify(body);
  const shown = Array.isArray(payloads) ? { payloads: payloads.map(inJson) } : { data: inJson(data) };
  return JSON.stringify({ ...body, ...shown });
}

const isBytes = (payload: unknown): payload is Uint8Array => payload instanceof Uint8Array;
const inJson = (payload: unknown): unknown =>
  isBytes(payload) ? { base64: Buffer.from(payload).toString("base64") } : payload;

/** Checked and without a trailing slash; DTM's path is added where there is none. */
function baseUrl(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw invalidInput(`not an address of a coordinator: ${JSON.stringify(address)}`, {
      hint: 'write "http://host:36789"',
    });
  }
  const path = url.pathname.replace(/\/+$/, "");
  return `${url.origin}${path === "" ? apiPath : path}`;
}

/** Anything but a JSON object counts as a message. */
function parse(text: string): ApiAnswer["body"] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as ApiBody;
  } catch {
    // Not JSON: an error page of a proxy, say. It is shown as the message.
  }
  return { message: text.slice(0, 500) };
}
