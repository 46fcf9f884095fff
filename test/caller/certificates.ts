/**
 * Certificates for tests, made on the spot: an authority, and server and client certificates signed by it. Just enough
 * DER for X.509 version 3 with P-256 keys.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

/** A certificate and its key, both PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/**
 * An authority: its certificate, and certificates for names (DNS names or IPv4 addresses) signed by it, which have
 * expired already where `validForMs` is negative.
 */
export interface Authority {
  readonly cert: string;
  issue(names: readonly string[], validForMs?: number): Identity;
}

/** A new authority, valid for a day. */
export function createAuthority(name: string): Authority {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    cert: certificate({ issuer: name, signer: keys.privateKey, subject: name, key: keys.publicKey, isAuthority: true }),
    issue(names, validForMs = 86_400_000) {
      const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const subject = names[0] ?? "nobody";
      const cert = certificate({
        ...{ issuer: name, signer: keys.privateKey, subject, key: own.publicKey, names, validForMs },
        isAuthority: false,
      });
      return { cert, key: own.privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
    },
  };
}

interface Content {
  readonly issuer: string;
  readonly signer: KeyObject;
  readonly subject: string;
  readonly key: KeyObject;
  readonly isAuthority: boolean;
  readonly names?: readonly string[];
  readonly validForMs?: number;
}

const ecdsaWithSha256 = der(0x30, oid("2a8648ce3d040302"));

function certificate({
  issuer,
  signer,
  subject,
  key,
  isAuthority,
  names = [],
  validForMs = 86_400_000,
}: Content): string {
  const now = Date.now();
  const publicKey = key.export({ type: "spki", format: "der" });
  const signed = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    nameOf(issuer),
    der(0x30, time(now - 2 * 86_400_000), time(now + validForMs)),
    nameOf(subject),
    publicKey,
    der(0xa3, der(0x30, ...extensions(isAuthority, names, publicKey))),
  );
  const signature = sign("sha256", signed, signer);
  const bytes = der(0x30, signed, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function extensions(isAuthority: boolean, names: readonly string[], publicKey: Buffer): readonly Buffer[] {
  const basic = isAuthority ? der(0x30, der(0x01, Buffer.from([0xff]))) : der(0x30);
  const keyId = createHash("sha1").update(publicKey).digest();
  const alternatives = names.map((name) =>
    isIPv4(name) ? der(0x87, Buffer.from(name.split(".").map(Number))) : der(0x82, Buffer.from(name)),
  );
  return [
    der(0x30, oid("551d13"), der(0x01, Buffer.from([0xff])), der(0x04, basic)),
    der(0x30, oid("551d0e"), der(0x04, der(0x04, keyId))),
    ...(alternatives.length === 0 ? [] : [der(0x30, oid("551d11"), der(0x04, der(0x30, ...alternatives)))]),
  ];
}

function nameOf(commonName: string): Buffer {
  return der(0x30, der(0x31, der(0x30, oid("550403"), der(0x0c, Buffer.from(commonName)))));
}

function time(atMs: number): Buffer {
  return der(0x18, Buffer.from(`${new Date(atMs).toISOString().replace(/[-:T]|\..*/g, "")}Z`));
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
