"""Verifies tokens.json with PyJWT: by the PEM or the secret, and by the JWK set."""

import json
import jwt

for token in json.load(open("tokens.json")):
    keys = [token["secret"] or token["pem"]]
    if token["jwks"]:
        keys.append(jwt.PyJWKSet.from_dict(token["jwks"]).keys[0].key)
    head, claims, tag = token["jwt"].split(".")
    changed = ".".join([head, ("f" if claims[0] == "e" else "e") + claims[1:], tag])
    for key in keys:
        verify = lambda text: jwt.decode(
            text, key, algorithms=[token["algorithm"]], audience="b", issuer="https://acme.hub.loginradius.com/"
        )
        assert verify(token["jwt"])["name"] == "Ada Löwe"
        try:
            verify(changed)
            raise SystemExit("a changed token was accepted")
        except jwt.InvalidSignatureError:
            pass
    print(f"PyJWT {jwt.__version__} {token['algorithm']} {len(keys)} key(s): verified; refused when changed")
