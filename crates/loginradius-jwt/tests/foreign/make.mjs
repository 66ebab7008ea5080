// Tokens by jose and its JWK set: called by make.sh with the folder of the private keys and where jose is.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [privateFolder, josePath] = process.argv.slice(2);
const { SignJWT, CompactSign, exportJWK } = createRequire(import.meta.url)(josePath);
const here = dirname(fileURLToPath(import.meta.url));
const keys = { RS256: 'rsa', RS384: 'rsa', RS512: 'rsa', ES256: 'p256', ES384: 'p384', ES512: 'p521' };
const base = {
  iss: 'https://acme.hub.loginradius.com/',
  sub: '723b05f80c644672b3496a21b7cf33dc',
  aud: 'my-client-id',
  jti: 'f3197b40-2dcd-4422-8765-c40846f60fb4',
  iat: 1800000000,
  nbf: 1800000000,
  exp: 1800000600,
};
const variants = {
  sso: { email: 'someone@example.com', firstname: 'Ada', lastname: 'Lovelace' },
  audiences: { aud: ['another', 'my-client-id'] },
  nulls: { name: null, nonce: null, iat: null, sub: null, website: null, phone_number_verified: false },
  unicode: { name: 'Zoë Łódź 王小明 🦀', note: 'quotes " \\ / \b\f\n\r\t \u0001 \u2028', 'clé': 'ключ' },
  nonce: { nonce: 'n-0S6_WzA2Mj' },
};

const tokens = [];
for (const alg of ['HS256', 'HS384', 'HS512', ...Object.keys(keys)]) {
  const key = keys[alg] ?? 'secret';
  const material =
    key === 'secret'
      ? new TextEncoder().encode(readFileSync(join(privateFolder, 'secret'), 'utf8'))
      : createPrivateKey(readFileSync(join(privateFolder, `${key}.key`)));
  for (const [what, extra] of Object.entries(variants)) {
    const claims = { ...base, ...extra };
    const header = { alg, typ: 'JWT', ...(what === 'sso' ? { kid: key } : {}) };
    const jwt =
      what === 'nulls'
        ? await new CompactSign(new TextEncoder().encode(JSON.stringify(claims))).setProtectedHeader(header).sign(material)
        : await new SignJWT(claims).setProtectedHeader(header).sign(material);
    tokens.push({ name: `jose ${what}`, key, alg, claims, jwt });
  }
}
writeFileSync(join(here, 'jose.json'), `${JSON.stringify(tokens, null, 1)}\n`);

const jwks = [];
for (const key of ['rsa', 'p256', 'p384', 'p521']) {
  const jwk = await exportJWK(createPublicKey(readFileSync(join(here, `${key}.pem`))));
  jwks.push({ ...jwk, kid: key, use: 'sig' });
}
writeFileSync(join(here, 'keys.jwks.json'), `${JSON.stringify({ keys: jwks }, null, 1)}\n`);
