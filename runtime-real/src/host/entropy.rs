//! The only place that asks the operating system for entropy (keys apart, which `crypto` makes).
#![expect(clippy::disallowed_methods, reason = "this is the place where entropy is drawn")]

use thiserror::Error;

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system gives no random bytes: {0}; a sandbox may forbid the getrandom call")]
pub struct EntropyError(getrandom::Error);

/// A seed for the node's random stream.
///
/// # Errors
/// The operating system gave none.
pub fn seed() -> Result<[u8; 32], EntropyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(bytes)
}
