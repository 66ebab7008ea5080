use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::CodeVerifier;
use crate::secret_text::SecretText;
use crate::sha256::sha256;

/// The random bytes of one login: 32 each for the state, the PKCE verifier and the nonce.
///
/// Fill them from the random number generator of the operating system, and use them for one login only. `Debug` shows
/// none, and the memory is overwritten on drop.
///
/// ```
/// use loginradius_proto::browser::RandomBytes;
///
/// # mod getrandom {
/// #     pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), loginradius_proto::Error> {
/// #         (0..).zip(bytes).for_each(|(index, byte)| *byte = index);
/// #         Ok(())
/// #     }
/// # }
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let mut bytes = [0; RandomBytes::LENGTH];
/// getrandom::fill(&mut bytes)?; // the crate `getrandom`
/// let random = RandomBytes::new(bytes)?;
/// # Ok(())
/// # }
/// ```
#[doc(alias("rng", "entropy", "state", "nonce", "pkce", "csrf"))]
pub struct RandomBytes(Zeroizing<[u8; Self::LENGTH]>);

impl RandomBytes {
    /// The number of bytes: 96.
    pub const LENGTH: usize = 96;

    /// Wraps the bytes, unless they are obviously not random: a generator that fails without an error leaves the buffer
    /// as it was, often all zeros.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) if one of the three parts has only one value for all its bytes,
    /// or two parts are equal.
    pub fn new(bytes: [u8; Self::LENGTH]) -> Result<Self, Error> {
        let (state, rest) = bytes.split_at(32);
        let (verifier, nonce) = rest.split_at(32);
        let is_constant = |bytes: &[u8]| bytes.iter().all(|byte| *byte == bytes[0]);
        let repeats = state == verifier || verifier == nonce || nonce == state;
        if repeats || is_constant(state) || is_constant(verifier) || is_constant(nonce) {
            return Err(Error::misuse(
                "the random bytes are not random, as they repeat themselves: fill all 96 from the operating system's \
                 random number generator",
            ));
        }
        Ok(Self(Zeroizing::new(bytes)))
    }
}

// The bytes are the secrets of a login.
impl fmt::Debug for RandomBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RandomBytes")
    }
}

/// The secrets of one login, each made of 32 random bytes of its own: 43 characters of base64url.
pub(super) struct RandomValues {
    pub(super) state: SecretText,
    pub(super) code_verifier: CodeVerifier,
    pub(super) nonce: SecretText,
}

impl RandomValues {
    pub(super) fn new(random: &RandomBytes) -> Self {
        let (state, rest) = random.0.split_at(32);
        let (verifier, nonce) = rest.split_at(32);
        Self {
            state: URL_SAFE_NO_PAD.encode(state).into(),
            code_verifier: CodeVerifier::new(URL_SAFE_NO_PAD.encode(verifier)),
            nonce: URL_SAFE_NO_PAD.encode(nonce).into(),
        }
    }
}

/// Returns whether a stored value has the form of those of [`RandomValues`].
pub(super) fn is_random_value(text: &str) -> bool {
    // 43 letters, for which the decoder requires one byte more than they encode.
    let mut bytes = Zeroizing::new([0; 33]);
    URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes) == Ok(32)
}

/// Returns the PKCE challenge `BASE64URL(SHA256(ASCII(code_verifier)))` (RFC 7636, section 4.2).
pub(super) fn challenge(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(sha256(|hash| hash.update(verifier.expose())))
}

/// Returns whether both are equal, in a time that does not depend on where they differ.
pub(super) fn equal_in_constant_time(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_and_the_challenge_of_rfc_7636_appendix_b() {
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191,
            240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let mut random = std::array::from_fn(|byte| byte as u8);
        random[32..64].copy_from_slice(&octets);
        let values = RandomValues::new(&RandomBytes::new(random).unwrap());
        assert_eq!(values.code_verifier.expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&values.code_verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn each_value_has_bytes_of_its_own() {
        let random = std::array::from_fn(|byte| byte as u8);
        let first = RandomValues::new(&RandomBytes::new(random).unwrap());
        for (at, changes) in [(0, [true, false, false]), (63, [false, true, false]), (64, [false, false, true])] {
            let mut random = random;
            random[at] ^= 1;
            let second = RandomValues::new(&RandomBytes::new(random).unwrap());
            assert_eq!(
                [
                    first.state != second.state,
                    first.code_verifier.expose() != second.code_verifier.expose(),
                    first.nonce != second.nonce
                ],
                changes
            );
        }
    }

    #[test]
    fn bytes_that_were_not_filled_are_refused() {
        let good: [u8; RandomBytes::LENGTH] = std::array::from_fn(|byte| byte as u8);
        for part in [0..32, 32..64, 64..96, 0..96] {
            let mut random = good;
            random[part].fill(0);
            assert!(RandomBytes::new(random).is_err());
        }
        assert!(RandomBytes::new([0xaa; 96]).is_err());
        // The verifier would be in the URL, as the state.
        for (from, to) in [(0..32, 32), (32..64, 64), (0..32, 64)] {
            let mut random = good;
            random.copy_within(from, to);
            assert!(RandomBytes::new(random).is_err());
        }
    }
}
