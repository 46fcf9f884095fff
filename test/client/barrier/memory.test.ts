// The memory model passes what every barrier store must pass.
import { describe } from "vitest";
import { barrierConformance } from "./conformance.js";
import { memoryWorld } from "./world.js";

describe("barrier on the memory model", () => {
  const world = memoryWorld();
  barrierConformance(() => world, { traces: 300, pauseMsMax: 3 });
});
