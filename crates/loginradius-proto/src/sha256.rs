use hmac_sha256::Hash;
use zeroize::zeroize_stack;

/// Returns the SHA-256 of the bytes that `write` adds, and leaves nothing of them on the stack: from there they would
/// get into the memory of tasks.
pub(crate) fn sha256(write: impl FnOnce(&mut Hash)) -> [u8; 32] {
    /// Without optimization the computation takes about 5 KiB.
    const STACK: usize = 8 << 10;
    let digest = compute(write);
    zeroize_stack::<STACK>();
    digest
}

/// Computes it in a stack frame of its own, below which all can be overwritten.
#[inline(never)]
fn compute(write: impl FnOnce(&mut Hash)) -> [u8; 32] {
    let mut hash = Hash::new();
    write(&mut hash);
    hash.finalize()
}
