#!/bin/sh
# Makes the keys, the tokens of openssl, and then those of the others. README.md says how to call it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
cd "$here"

rsa() { openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$private/$1.key"; }
ec() { openssl genpkey -quiet -algorithm EC -pkeyopt "ec_paramgen_curve:$2" -pkeyopt ec_param_enc:named_curve -out "$private/$1.key"; }
public() { openssl pkey -in "$private/$1.key" -pubout -out "$1.pem"; }

for name in "" other_; do
    rsa "${name}rsa" 2048
    ec "${name}p256" P-256
    ec "${name}p384" P-384
    ec "${name}p521" P-521
    for kind in rsa p256 p384 p521; do public "$name$kind"; done
done
rsa rsa1024 1024 && public rsa1024
rsa rsa4096 4096 && public rsa4096
rsa rsa8192 8192 && public rsa8192
openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out "$private/rsa_pss.key" && public rsa_pss
openssl genpkey -algorithm ED25519 -out "$private/ed25519.key" && public ed25519
ec secp256k1 secp256k1 && public secp256k1
openssl rsa -in "$private/rsa.key" -RSAPublicKey_out -out rsa_pkcs1.pem 2>/dev/null
openssl ec -in "$private/p256.key" -pubout -conv_form compressed -out p256_compressed.pem 2>/dev/null
openssl req -x509 -key "$private/rsa.key" -subj /CN=example -days 1 -out certificate.pem
openssl rand -base64 48 | tr -d '\n' > "$private/secret" && cp "$private/secret" secret.txt

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
# openssl writes ECDSA signatures in DER: RFC 7518, section 3.4 wants both numbers at their full length.
fixed() {
    openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' | while read -r number; do
        printf "%0$(($1 * 2))d%s" 0 "$number" | tail -c $(($1 * 2))
    done | xxd -r -p
}
claims='{"iss":"https://acme.hub.loginradius.com/","sub":"723b05f80c644672b3496a21b7cf33dc","aud":"my-client-id","jti":"f3197b40-2dcd-4422-8765-c40846f60fb4","iat":1800000000,"nbf":1800000000,"exp":1800000600,"email":"someone@example.com"}'
token() { # key algorithm hash [bytes of a coordinate]
    signed=$(printf '{"alg":"%s","typ":"JWT"}' "$2" | base64url).$(printf %s "$claims" | base64url)
    case $2 in
    HS*) signature=$(printf %s "$signed" | openssl dgst "-$3" -mac HMAC -macopt "key:$(cat "$private/secret")" -binary | base64url) ;;
    RS*) signature=$(printf %s "$signed" | openssl dgst "-$3" -sign "$private/$1.key" -binary | base64url) ;;
    ES*) signature=$(printf %s "$signed" | openssl dgst "-$3" -sign "$private/$1.key" -binary | fixed "$4" | base64url) ;;
    esac
    printf '{"name":"openssl","key":"%s","alg":"%s","claims":%s,"jwt":"%s.%s"}' "$1" "$2" "$claims" "$signed" "$signature"
}
{
    printf '[\n'
    token secret HS256 sha256 && printf ',\n'
    token secret HS384 sha384 && printf ',\n'
    token secret HS512 sha512 && printf ',\n'
    token rsa RS256 sha256 && printf ',\n'
    token rsa RS384 sha384 && printf ',\n'
    token rsa RS512 sha512 && printf ',\n'
    token rsa4096 RS256 sha256 && printf ',\n'
    token rsa8192 RS512 sha512 && printf ',\n'
    token p256 ES256 sha256 32 && printf ',\n'
    token p384 ES384 sha384 48 && printf ',\n'
    token p521 ES512 sha512 66 && printf '\n]\n'
} > openssl.json

"${PYTHON:-python3}" make.py "$private"
node make.mjs "$private" "${JOSE:-jose}"
