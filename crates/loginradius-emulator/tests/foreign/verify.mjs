// Verifies tokens.json with jose: by the PEM or the secret, and by the JWK set.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createLocalJWKSet, errors, importSPKI, jwtVerify } from "jose";

const { version } = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("jose/package.json")));
for (const { algorithm, secret, pem, jwks, jwt } of JSON.parse(readFileSync("tokens.json"))) {
  const keys = [secret ? new TextEncoder().encode(secret) : await importSPKI(pem, algorithm)];
  if (jwks) keys.push(createLocalJWKSet(jwks));
  const [head, claims, tag] = jwt.split(".");
  const changed = [head, (claims[0] === "e" ? "f" : "e") + claims.slice(1), tag].join(".");
  for (const key of keys) {
    const verify = (text) =>
      jwtVerify(text, key, { algorithms: [algorithm], audience: "b", issuer: "https://acme.hub.loginradius.com/" });
    if ((await verify(jwt)).payload.name !== "Ada Löwe") throw new Error("other claims");
    const refused = await verify(changed).then(() => false, (error) => error instanceof errors.JWSSignatureVerificationFailed);
    if (!refused) throw new Error("a changed token was accepted");
  }
  console.log(`jose ${version} ${algorithm} ${keys.length} key(s): verified; refused when changed`);
}
