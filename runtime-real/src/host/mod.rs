//! Everything that the daemon needs of its operating system: time, chance, files, users, and the places of files.
//!
//! Nothing in here knows what a supervisor, a package or a service does.

pub mod atomic;
pub mod beneath;
pub mod capabilities;
pub mod clock;
pub mod disk;
pub mod entropy;
pub mod environment;
pub mod exit;
pub mod lock;
pub mod lock_file;
pub(crate) mod look;
pub mod owner;
pub mod root;
pub mod secret_env;
pub mod small_file;
pub mod socket;
pub mod socket_owner;
pub mod terminal;
pub mod timestamp;
pub mod users;
pub(crate) mod watch;
