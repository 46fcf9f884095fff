/**
 * A NATS server in operator mode, as `nsc` sets one up: operator, account and user as signed JWTs, the account given to
 * the server, the user with its seed as a credentials file. The library that NATS has for this signs the same claims.
 */
import { nkeys } from "nats";

type KeyPair = ReturnType<typeof nkeys.createUser>;

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A claim about `subject`, signed by `issuer`. */
function claim(issuer: KeyPair, subject: KeyPair, name: string, nats: object): string {
  const iat = Math.floor(Date.now() / 1000);
  const body = { jti: `${name}-${iat}`, iat, iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name, nats };
  const signed = `${base64url({ typ: "JWT", alg: "ed25519-nkey" })}.${base64url(body)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}

/** Configuration of a server, and the credentials of one of its users; those of `stranger` are of another account. */
export function operatorMode(): { readonly config: string; readonly creds: string; readonly stranger: string } {
  const [operator, account, other] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount()];
  const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const operatorJwt = claim(operator, operator, "operator", { type: "operator", version: 2 });
  const accountJwt = claim(operator, account, "account", { type: "account", version: 2, limits });
  const config = `operator: ${operatorJwt}
resolver: MEMORY
resolver_preload: { ${account.getPublicKey()}: ${accountJwt} }`;
  return { config, creds: credsOf(account), stranger: credsOf(other) };
}

function credsOf(account: KeyPair): string {
  const user = nkeys.createUser();
  const jwt = claim(account, user, "user", {
    type: "user",
    version: 2,
    pub: {},
    sub: {},
    subs: -1,
    data: -1,
    payload: -1,
  });
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${Buffer.from(user.getSeed()).toString()}
------END USER NKEY SEED------
`;
}
