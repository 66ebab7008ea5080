use super::stored::StoredRecord;
use crate::sha256::sha256;

/// Digests texts into a number that every reader of JSON keeps exactly.
pub(super) fn digest(parts: &[&[u8]]) -> u64 {
    let digest = sha256(|hash| {
        for part in parts {
            // The length keeps `ab`, `c` apart from `a`, `bc`.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    });
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first) & StoredRecord::MAX_GENERATION
}
