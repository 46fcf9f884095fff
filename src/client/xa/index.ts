// tandem/xa: branches of XA transactions, and what to do about those that were forgotten.

export { type XaDatabase, type XaSession, xaRoute } from "./branch.js";
export { type PreparedBranch, recoverXa, type XaFate, type XaRecoveryOptions } from "./recover.js";
