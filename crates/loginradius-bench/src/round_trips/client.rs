use crate::Result;
use crate::operations::Operation;

/// The HTTP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the benchmarks handle each")]
pub enum Http {
    /// ureq.
    Blocking,
    /// reqwest, on a current-thread runtime of tokio.
    Async,
}

impl Http {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Blocking, Self::Async];

    /// Returns the name that the tables print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Async => "async",
        }
    }
}

/// Returns whether the operation takes a connection of its own, because it must not be sent twice.
#[must_use]
pub fn takes_fresh_connection(operation: Operation) -> bool {
    matches!(operation, Operation::Refresh | Operation::Code)
}

/// Builds the runtime of a program that does one thing at a time.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Makes both sides use the same crypto provider.
pub(super) fn install_crypto_provider() {
    // It may already be installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
