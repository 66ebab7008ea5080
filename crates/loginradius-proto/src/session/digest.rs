use sha2::{Digest, Sha256};

use super::stored::StoredRecord;

/// Digests texts into a number that every reader of JSON keeps exactly.
pub(super) fn digest(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps `ab`, `c` apart from `a`, `bc`.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    u64::from_be_bytes(first) & StoredRecord::MAX_GENERATION
}
