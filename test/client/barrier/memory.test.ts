// The memory model passes what every barrier store must pass.
import { describe } from "vitest";
import { memoryBarrier } from "../../../src/client/barrier/memory.js";
import { barrierConformance } from "./conformance.js";
import { rememberConformance } from "./remember.js";
import { memoryWorld } from "./world.js";

describe("barrier on the memory model", () => {
  const world = memoryWorld();
  barrierConformance(() => world, { traces: 300, pauseMsMax: 3 });
});

describe("a memory model that remembers", () => {
  const guard = memoryBarrier({ remember: true });
  rememberConformance(() => guard);
});
