/**
 * The only table of refusals. Gateways translate from it; nobody else knows a status code.
 * Sources: decisions D1–D4, D19, D20, D29 and bad-inputs. `retry` tells a client whether asking again can help.
 */
export const errors = {
  /** Syntax, range or shape of the request. */
  BAD_REQUEST: { http: 400, grpc: 3, result: undefined, retry: "never" },
  NOT_FOUND: { http: 404, grpc: 5, result: undefined, retry: "never" },
  /** The body did not arrive within its deadline. */
  REQUEST_TIMEOUT: { http: 408, grpc: 4, result: undefined, retry: "now" },
  /** The state of the transaction, or what is stored, forbids it. */
  REFUSED: { http: 409, grpc: 10, result: "FAILURE", retry: "never" },
  /** Something is already recorded in this place (of a workflow: not ABORTED, or DTM's Go client rolls back, D3). */
  EXISTS: { http: 409, grpc: 6, result: "FAILURE", retry: "never" },
  TOO_LARGE: { http: 413, grpc: 8, result: undefined, retry: "never" },
  UNSUPPORTED_MEDIA: { http: 415, grpc: 3, result: undefined, retry: "never" },
  /** Accepted and going on; ask again (D1). */
  ONGOING: { http: 425, grpc: 9, result: "ONGOING", retry: "later" },
  TOO_MANY: { http: 429, grpc: 8, result: undefined, retry: "later" },
  INTERNAL: { http: 500, grpc: 13, result: undefined, retry: "later" },
  /** More than this node takes on now. */
  OVERLOADED: { http: 503, grpc: 14, result: undefined, retry: "later" },
  /** The store, or the owner, cannot be reached now. */
  UNAVAILABLE: { http: 503, grpc: 14, result: undefined, retry: "later" },
  /** Another node owns the gid: the router asks there. */
  NOT_OWNER: { http: 503, grpc: 14, result: undefined, retry: "elsewhere" },
} as const;

/** Key of the table. */
export type ErrorCode = keyof typeof errors;
