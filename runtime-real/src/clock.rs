//! The only place where the daemon and its command line read the operating system's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use annulus_core::UnixTime;

/// The wall clock now; a clock set before 1970 reads as 1970.
#[must_use]
pub fn wall() -> UnixTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
