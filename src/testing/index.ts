// The test kit, `tandem/testing`: a coordinator in the test's own process, virtual time, and a network that can be
// made to fail.

export { type MemoryBarrier, type MemoryTx, memoryBarrier } from "../client/barrier/memory.js";
export { memoryXa } from "../client/xa/memory.js";
export {
  AtomicityError,
  type AtomicOptions,
  type AtomicReport,
  type Ended,
  expectAtomic,
  type Stage,
} from "./atomic.js";
export type { Answered, Fault, Plan } from "./network.js";
export { createWorld, participantUrl, type World } from "./world.js";
