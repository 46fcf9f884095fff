// The coordinator inside a user's process, as far as its life goes. That a process which has nothing else to do still
// closes it to its end is proven by the gRPC example, which otherwise ends with code 13.
import { describe, expect, it } from "vitest";
import { startEmbedded } from "../../src/embedded/embedded.js";

describe("an embedded coordinator", () => {
  it("may be closed by hand and by the end of its block", async () => {
    const closed = async () => {
      await using coordinator = await startEmbedded({ store: "memory:" });
      await coordinator.close();
    };
    await expect(closed()).resolves.toBeUndefined();
  });
});
