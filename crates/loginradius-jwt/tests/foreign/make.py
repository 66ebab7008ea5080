"""Tokens by PyJWT and its JWK set: called by make.sh with the folder of the private keys."""

import json
import pathlib
import sys

import jwt
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

private, here = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
KEYS = {"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521"}
BASE = {
    "iss": "https://acme.hub.loginradius.com/",
    "sub": "723b05f80c644672b3496a21b7cf33dc",
    "aud": "my-client-id",
    "jti": "f3197b40-2dcd-4422-8765-c40846f60fb4",
    "iat": 1800000000,
    "nbf": 1800000000,
    "exp": 1800000600,
}
CLAIMS = {
    "sso": {"email": "someone@example.com", "firstname": "Ada", "lastname": "Lovelace"},
    "audiences": {"aud": ["another", "my-client-id"]},
    "nulls": {"name": None, "nonce": None, "nbf": None, "jti": None, "address": {"country": None}, "email_verified": False},
    "unicode": {"name": "Zoë Łódź 王小明 🦀", "note": "quotes \" \\ / \b\f\n\r\t \u0001 \u2028", "clé": "ключ"},
    "mapped": {"asdas": [{"Type": "Primary", "Value": "a@b.example"}], "updated_at": 1600288946, "ratio": 0.5, "big": 2**53},
    "fraction": {"exp": 1800000600.75, "nbf": 1799999999.5},
    "nonce": {"nonce": "n-0S6_WzA2Mj"},
}


def key(alg):
    name = KEYS.get(alg, "secret")
    path = private / ("secret" if name == "secret" else f"{name}.key")
    return name, path.read_text()


tokens = []
for alg in ["HS256", "HS384", "HS512", *KEYS]:
    name, secret = key(alg)
    for what, extra in CLAIMS.items():
        claims = {**BASE, **extra}
        # `jwt.encode` refuses an nbf that is null or a fraction, so that this signs the bytes.
        token = jwt.api_jws.encode(json.dumps(claims, separators=(",", ":")).encode(), secret, algorithm=alg, headers={"typ": "JWT"})
        tokens.append({"name": f"PyJWT {what}", "key": name, "alg": alg, "claims": claims, "jwt": token})
    token = jwt.encode(BASE, secret, algorithm=alg, headers={"kid": name})
    tokens.append({"name": "PyJWT kid", "key": name, "alg": alg, "claims": BASE, "jwt": token})
(here / "pyjwt.json").write_text(json.dumps(tokens, indent=1, ensure_ascii=True) + "\n")

jwks = []
for alg, name in {"RS256": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521"}.items():
    algorithm = (RSAAlgorithm if name == "rsa" else ECAlgorithm)(RSAAlgorithm.SHA256)
    public = algorithm.prepare_key((here / f"{name}.pem").read_text())
    jwks.append({**algorithm.to_jwk(public, as_dict=True), "kid": name})
(here / "keys_pyjwt.jwks.json").write_text(json.dumps({"keys": jwks}, indent=1) + "\n")
