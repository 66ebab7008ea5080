//! Reads PEM files (RFC 7468), and recognizes other files that are given by mistake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::der;
use super::file_form::is_ssh;
use super::material::Material;
use crate::error::Error;

/// Reads the only public key of the text.
pub(super) fn public_key(pem: &[u8]) -> Result<Material, Error> {
    let text = std::str::from_utf8(pem).map_err(|_| {
        Error::key(
            "the key is not text, so it is not PEM: convert DER to PEM with `openssl pkey -pubin -inform DER -in FILE`",
        )
    })?;
    // Environment variables often have escaped line breaks.
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let blocks = blocks(&text)?;
    // First, because it matters most: a private key may come after other blocks, such as EC PARAMETERS.
    if let Some(block) = blocks.iter().find(|block| block.label.contains("PRIVATE KEY")) {
        return Err(private_key(block));
    }
    match blocks.as_slice() {
        [] => Err(nothing(&text)),
        [block] => one(block),
        _ => Err(Error::key("the PEM has more than one block: remove all but the public key of the app's key pair")),
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
            .ok_or_else(|| Error::key("the PEM's BEGIN line is cut short: it must end with five hyphens"))?;
        let (body, after) = after.split_once(&format!("-----END {label}-----")).ok_or_else(|| {
            Error::key(
                "the PEM has no END line that matches its BEGIN line: copy the file from the first hyphen to the last",
            )
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
                "the PEM is a certificate, not a public key: extract the key with \
                 `openssl x509 -in FILE -noout -pubkey`",
            ));
        }
        "SSH2 PUBLIC KEY" => return Err(ssh()),
        _ => {
            return Err(Error::key(
                "the PEM is neither a PUBLIC KEY nor an RSA PUBLIC KEY: use the public key of the app's key pair",
            ));
        }
    };
    let body: String = block.body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| {
        Error::key("the PEM's body is not base64, so a part of it is missing or changed: copy the file again")
    })?;
    read(&der).map_err(|fault| {
        Error::key(match fault {
            der::Fault::Malformed => {
                "the PEM's body is not a public key: a part of it is missing or changed, or its BEGIN line has the \
                 wrong name: check it with `openssl pkey -pubin -in FILE -noout -text`"
            }
            der::Fault::Pss => {
                "the public key is for RSA-PSS (PS256, PS384, PS512), which LoginRadius does not use: make a plain RSA \
                 key pair"
            }
            der::Fault::Curve => {
                "the public key's elliptic curve is not supported: make a key pair on P-256, P-384 or P-521 for ES256, \
                 ES384 or ES512"
            }
            der::Fault::Kind => {
                "the public key is neither RSA nor ECDSA, and LoginRadius signs with nothing else: make such a key pair"
            }
        })
    })
}

fn private_key(block: &Block<'_>) -> Error {
    if block.label == "OPENSSH PRIVATE KEY" {
        return Error::key(
            "the PEM is a private key of OpenSSH, and a verifier needs the public key: make it with \
             `ssh-keygen -e -m PKCS8 -f FILE`, and keep the private key secret",
        );
    }
    // The older form of encryption is marked by a header of RFC 1421 in the body.
    let encrypted = block.label.contains("ENCRYPTED") || block.body.contains("ENCRYPTED");
    Error::key(if encrypted {
        "the PEM is an encrypted private key, and a verifier needs the public key: make it with \
         `openssl pkey -in FILE -pubout`, which asks for the passphrase, and keep the private key secret"
    } else {
        "the PEM is a private key, and a verifier needs the public key: make it with \
         `openssl pkey -in FILE -pubout`, and keep the private key secret"
    })
}

fn nothing(text: &str) -> Error {
    let text = text.trim_start();
    if text.is_empty() {
        Error::key("the PEM is empty: check that the file or the environment variable was found")
    } else if text.starts_with('{') {
        Error::key("this is JSON, not PEM: read a JWK set with `KeySet::from_json`")
    } else if is_ssh(text.as_bytes()) {
        ssh()
    } else {
        Error::key("no PEM found: pass the text of the file, which has a line -----BEGIN PUBLIC KEY-----, not its name")
    }
}

fn ssh() -> Error {
    Error::key("this is a public key of OpenSSH, not PEM: convert it with `ssh-keygen -e -m PKCS8 -f FILE`")
}
