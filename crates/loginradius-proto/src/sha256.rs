use sha2::{Digest, Sha256};

/// Returns the SHA-256 of what `write` adds, and leaves no copy of it on the stack. `Sha256::digest` would: it moves its
/// state, and what is left on the stack gets into the tasks that begin with a copy of it.
pub(crate) fn sha256(write: impl FnOnce(&mut Sha256)) -> [u8; 32] {
    let mut hash = Sha256::new();
    write(&mut hash);
    hash.finalize_reset().into()
}
