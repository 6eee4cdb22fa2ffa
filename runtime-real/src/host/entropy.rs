//! Asks the operating system for random bytes. No other module does, except that `crypto` makes keys.
#![expect(clippy::disallowed_methods, reason = "this is the place where entropy is drawn")]

use thiserror::Error;

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system gives no random bytes: {0}; a sandbox may forbid the getrandom call")]
pub struct EntropyError(getrandom::Error);

/// A seed for the node's random stream.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn seed() -> Result<[u8; 32], EntropyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(bytes)
}
