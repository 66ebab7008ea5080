//! PEM files (RFC 7468), and what people give by mistake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::der;
use super::file_form::is_ssh;
use super::material::Material;
use crate::error::Error;

/// Reads the one public key of the text.
pub(super) fn public_key(pem: &[u8]) -> Result<Material, Error> {
    let text = std::str::from_utf8(pem).map_err(|_| {
        Error::key(
            "the key is not text, so it is no PEM: turn DER into PEM with `openssl pkey -pubin -inform DER -in FILE`",
        )
    })?;
    // An environment variable often holds line breaks as a backslash and a letter.
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let blocks = blocks(&text)?;
    // A file of a private key may begin with other blocks, such as EC PARAMETERS. This error matters most.
    if let Some(block) = blocks.iter().find(|block| block.label.contains("PRIVATE KEY")) {
        return Err(private_key(block));
    }
    match blocks.as_slice() {
        [] => Err(nothing(&text)),
        [block] => one(block),
        _ => Err(Error::key(
            "the PEM has more than one block: leave the one public key that LoginRadius's app signs for",
        )),
    }
}

/// One block between its BEGIN and its END.
struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

fn blocks(text: &str) -> Result<Vec<Block<'_>>, Error> {
    const BEGIN: &str = "-----BEGIN ";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (label, after) = after
            .split_once("-----")
            .filter(|(label, _)| !label.contains(['\r', '\n']))
            .ok_or_else(|| Error::key("the PEM's BEGIN line is cut short: it ends with five hyphens"))?;
        let (body, after) = after.split_once(&format!("-----END {label}-----")).ok_or_else(|| {
            Error::key("the PEM has no END line to its BEGIN line: copy the file from the first hyphen to the last")
        })?;
        blocks.push(Block { label, body });
        rest = after;
    }
    Ok(blocks)
}

fn one(block: &Block<'_>) -> Result<Material, Error> {
    let read: fn(&[u8]) -> Result<Material, der::Fault> = match block.label {
        "PUBLIC KEY" => der::subject_public_key_info,
        "RSA PUBLIC KEY" => der::rsa_public_key,
        label if label.contains("CERTIFICATE") && !label.contains("REQUEST") => {
            return Err(Error::key(
                "the PEM is a certificate, not a public key: take the key out of it with \
                 `openssl x509 -in FILE -noout -pubkey`",
            ));
        }
        "SSH2 PUBLIC KEY" => return Err(ssh()),
        _ => {
            return Err(Error::key(
                "the PEM is neither a PUBLIC KEY nor an RSA PUBLIC KEY: \
                 give the public key that belongs to what LoginRadius's app signs with",
            ));
        }
    };
    let body: String = block.body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| {
        Error::key("the PEM's body is not base64: a part of it is missing or changed, copy the file anew")
    })?;
    read(&der).map_err(|fault| {
        Error::key(match fault {
            der::Fault::Malformed => {
                "the PEM's body is not a public key: a part of it is missing or changed, or its BEGIN line has the \
                 wrong name; see what `openssl pkey -pubin -in FILE -noout -text` says"
            }
            der::Fault::Pss => {
                "the public key is for RSA-PSS (PS256 and its like), with which LoginRadius does not sign: \
                 make a plain RSA key pair"
            }
            der::Fault::Curve => {
                "the public key's elliptic curve is none of P-256, P-384 and P-521, which ES256, ES384 and ES512 need"
            }
            der::Fault::Kind => "the public key is neither RSA nor ECDSA: LoginRadius signs with these alone",
        })
    })
}

fn private_key(block: &Block<'_>) -> Error {
    if block.label == "OPENSSH PRIVATE KEY" {
        return Error::key(
            "the PEM is a private key of OpenSSH, and a verifier needs the public one: make it with \
             `ssh-keygen -e -m PKCS8 -f FILE`, and keep the private key where tokens are signed",
        );
    }
    // RFC 1421's header marks the older form of encryption.
    let encrypted = block.label.contains("ENCRYPTED") || block.body.contains("ENCRYPTED");
    Error::key(if encrypted {
        "the PEM is an encrypted private key, and a verifier needs the public one: make it with \
         `openssl pkey -in FILE -pubout`, which asks for the passphrase, and keep the private key where tokens are signed"
    } else {
        "the PEM is a private key, and a verifier needs the public one: make it with \
         `openssl pkey -in FILE -pubout`, and keep the private key where tokens are signed"
    })
}

fn nothing(text: &str) -> Error {
    let text = text.trim_start();
    if text.is_empty() {
        Error::key("the PEM is empty: was the file or the variable found?")
    } else if text.starts_with('{') {
        Error::key("this is JSON, not PEM: read a JWK set with `KeySet::from_json`")
    } else if is_ssh(text.as_bytes()) {
        ssh()
    } else {
        Error::key("no PEM found: the text (not the file's name) has to begin with a line -----BEGIN PUBLIC KEY-----")
    }
}

fn ssh() -> Error {
    Error::key("this is a public key of OpenSSH, not PEM: turn it with `ssh-keygen -e -m PKCS8 -f FILE`")
}
