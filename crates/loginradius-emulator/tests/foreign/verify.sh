#!/bin/sh
# Verifies tokens.json with the openssl program. Its signatures by ECDSA are DER: the two numbers are put into that form.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$folder" <<'PYTHON'
import base64, json, sys
folder = sys.argv[1]
decode = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
def der(number):
    body = number.lstrip(b"\0") or b"\0"
    body = (b"\0" if body[0] & 128 else b"") + body
    return bytes([2, len(body)]) + body
for token in json.load(open("tokens.json")):
    name = f"{folder}/{token['algorithm']}"
    signed, tag = token["jwt"].rsplit(".", 1)
    tag = decode(tag)
    if token["algorithm"].startswith("ES"):
        both = der(tag[: len(tag) // 2]) + der(tag[len(tag) // 2 :])
        tag = b"\x30" + (bytes([len(both)]) if len(both) < 128 else bytes([0x81, len(both)])) + both
    open(name + ".tag", "wb").write(tag)
    open(name + ".signed", "w").write(signed)
    open(name + ".changed", "w").write(signed[:-1] + ("A" if signed[-1] != "A" else "B"))
    open(name + ".key", "w").write(token["secret"] or token["pem"])
PYTHON
version=$(openssl version | cut -d' ' -f2)
for bits in 256 384 512; do
    key=$(cat "$folder/HS$bits.key")
    mac() { openssl dgst -"sha$bits" -hmac "$key" -binary "$1" | cmp -s - "$folder/HS$bits.tag"; }
    mac "$folder/HS$bits.signed" || exit 1
    ! mac "$folder/HS$bits.changed" || exit 1
    echo "openssl $version HS$bits: verified; refused when changed"
    for kind in RS ES; do
        name="$folder/$kind$bits"
        verify() { openssl dgst -"sha$bits" -verify "$name.key" -signature "$name.tag" "$1" >/dev/null 2>&1; }
        verify "$name.signed" || exit 1
        ! verify "$name.changed" || exit 1
        echo "openssl $version $kind$bits: verified; refused when changed"
    done
done
