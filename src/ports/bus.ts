/**
 * Messages between the nodes of a cluster: best effort. One may be lost, doubled, late, or overtaken by a later one;
 * whoever sends must be able to ask again. No right ever travels this way.
 */
export interface Bus {
  /** Sends to one node, by name. `false`: nothing was sent, it cannot go this way (too large, not connected). */
  send(to: string, message: Uint8Array): boolean;
  /** Sends to all other nodes. */
  announce(message: Uint8Array): void;
  /** Sets who gets the messages for this node. */
  receive(handler: (message: Uint8Array) => void): void;
  /** What was sent to that node has not been answered: another way to it may be better, where there is one. */
  doubt?(to: string): void;
  close(): Promise<void>;
}
