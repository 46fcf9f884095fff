/**
 * gids for clients that ask for one: 48 bits of time and 80 of chance in DTM's alphabet, 22 characters (S-GEN-9).
 * The time comes first, so that gids made one after the other sort that way (D12).
 */
import { randomBytes } from "node:crypto";

const alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const characters = 22;
const base = BigInt(alphabet.length);

/** A gid that nobody else has. */
export function newGid(nowMs: number): string {
  let number = (BigInt(nowMs) << 80n) | BigInt(`0x${randomBytes(10).toString("hex")}`);
  let gid = "";
  for (let i = 0; i < characters; i++) {
    gid = alphabet[Number(number % base)]! + gid;
    number /= base;
  }
  return gid;
}
