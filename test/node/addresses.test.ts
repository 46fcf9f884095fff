/**
 * Under which names a node knows itself (D4): what leads to its own API is no participant.
 */
import { networkInterfaces } from "node:os";
import { describe, expect, it } from "vitest";
import { ownAddresses } from "../../src/addresses.js";
import { createCallers } from "../../src/caller/callers.js";

const machine = { name: "box", interfaces: ["127.0.0.1", "::1", "10.1.2.3", "fe80::5"] };
const at = (host: string, advertise = "") => ownAddresses({ host, ports: [36_789, 36_790], advertise }, machine);

describe("the addresses of a node's own API", () => {
  it("are those of every interface when it listens everywhere", () => {
    for (const host of ["0.0.0.0", "::"])
      for (const name of ["127.0.0.1", "[::1]", "localhost", "box", "10.1.2.3", "[fe80::5]"])
        for (const port of [36_789, 36_790]) expect(at(host)).toContain(`${name}:${port}`);
  });

  it("are only the loopback's when it listens there, else its own and the machine's name", () => {
    expect(at("127.0.0.1")).toEqual(["127.0.0.1:36789", "127.0.0.1:36790", "localhost:36789", "localhost:36790"]);
    expect(at("10.1.2.3")).toEqual(["10.1.2.3:36789", "10.1.2.3:36790", "box:36789", "box:36790"]);
  });

  it("have the advertised host with the ports of the node, and with its own", () => {
    const addresses = at("0.0.0.0", "http://node-1.example:8080/");
    for (const port of [8080, 36_789, 36_790]) expect(addresses).toContain(`node-1.example:${port}`);
  });

  it("keep branches away from this machine's own addresses", async () => {
    const addresses = ownAddresses({ host: "0.0.0.0", ports: [36_789], advertise: "" });
    const callers = createCallers({ ownAddresses: () => addresses });
    for (const { address, family } of Object.values(networkInterfaces()).flatMap((some) => some ?? [])) {
      const url = `http://${family === "IPv6" ? `[${address}]` : address}:36789/api/dtmsvr/submit`;
      expect(callers.locate("http", url), url).toHaveProperty("invalid");
    }
    await callers.close();
  });
});
