//! Exit codes of the daemon, for scripts and service managers.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | left the ring in order |
//! | 1 | failed for a reason that has no code of its own |
//! | 2 | wrong usage: an option or a configuration file |
//! | 3 | another supervisor runs with this root and name |
//! | 4 | the root directory cannot be used |
//! | 5 | the stored state cannot be read |
//! | 6 | an address cannot be listened on |
//! | 86 | banned from the ring by an operator; do not start again |
//! | 130 | interrupted a third time: services were killed, the ring was not told |

/// Left the ring in order.
pub const LEFT: u8 = 0;
/// Failed for a reason that has no code of its own.
pub const FAILED: u8 = 1;
/// Wrong usage: an option or a configuration file.
pub const USAGE: u8 = 2;
/// Another supervisor runs with this root and name.
pub const LOCKED: u8 = 3;
/// The root directory cannot be used.
pub const ROOT: u8 = 4;
/// The stored state cannot be read.
pub const STORE: u8 = 5;
/// An address cannot be listened on.
pub const LISTEN: u8 = 6;
/// Banned from the ring by an operator; do not start again (reference C3.1).
pub const DEPARTED: u8 = 86;
/// Interrupted a third time: services were killed, the ring was not told.
pub const INTERRUPTED: u8 = 130;
