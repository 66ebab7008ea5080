use sha2::{Digest, Sha256};

/// Returns the SHA-256 of the bytes that `write` adds, without a copy of them on the stack. `Sha256::digest` moves its
/// state and leaves such a copy, which later gets into the memory of tasks.
pub(crate) fn sha256(write: impl FnOnce(&mut Sha256)) -> [u8; 32] {
    let mut hash = Sha256::new();
    write(&mut hash);
    hash.finalize_reset().into()
}
