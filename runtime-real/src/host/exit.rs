//! The exit codes of the commands and of the daemon, for scripts and service managers. A code that was released keeps
//! its meaning.
//!
//! Commands that speak to a supervisor:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | refused, or failed for a reason that has no code of its own |
//! | 2 | the service, package or member named is not loaded, installed or known; or wrong usage |
//! | 3 | no supervisor runs there |
//! | 4 | there is no root directory |
//! | 7 | the supervisor refuses the ctl secret or this user, or there is no secret that can be used, or one end refuses the other's certificate |
//! | 8 | the version is not higher than the current one, or lies too far above it |
//! | 9 | a version is not in effect on every member in time |
//! | 10 | the service is stopped, but that is not stored: a restart of the supervisor would start it again |
//!
//! The daemon, `annulus sup run`:
//!
//! | code | meaning |
//! |---|---|
//! | 0 | left the ring in order |
//! | 1 | failed for a reason that has no code of its own |
//! | 2 | wrong usage: an option, a configuration file, or a file of TLS |
//! | 3 | another supervisor runs with this root and name |
//! | 4 | the root directory cannot be used |
//! | 5 | the stored state cannot be read |
//! | 6 | an address, or the socket for commands, cannot be listened on |
//! | 11 | not let into the ring by the invitation (`--join`), or the member that invited is not reached |
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
/// Not let into the ring by the invitation, or the member that invited is not reached.
pub const NOT_LET_IN: u8 = 11;
/// Banned from the ring by an operator; do not start again (as in Habitat).
pub const DEPARTED: u8 = 86;
/// Interrupted a third time: services were killed, the ring was not told.
pub const INTERRUPTED: u8 = 130;

/// A supervisor asks its launcher with this code to be started again. No launcher ends with it. The launcher may be of
/// another version than the supervisor, so this code and those of [`MEANT`] never get another meaning.
pub const RESTART: u8 = 87;
/// Ends of a supervisor that its launcher takes as its own, as it does with those of a first start that fails.
pub const MEANT: [u8; 3] = [LEFT, DEPARTED, INTERRUPTED];

/// The service, package or member that a command named is not loaded, installed or known.
pub const NOT_LOADED: u8 = 2;
/// No supervisor runs there.
pub const NO_SUPERVISOR: u8 = 3;
/// The supervisor refuses the ctl secret, or there is none that can be used.
pub const UNAUTHORIZED: u8 = 7;
/// The version is not higher than the current one, or lies too far above it.
pub const OLD_VERSION: u8 = 8;
/// A version is not in effect on every member in time.
pub const NOT_APPLIED: u8 = 9;
/// The service is stopped, but that is not stored.
pub const NOT_STORED: u8 = 10;
