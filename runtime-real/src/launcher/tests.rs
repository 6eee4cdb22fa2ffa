//! Launchers and supervisors of several versions: their messages, byte by byte and over a connection.

mod hostile;
mod play;
mod recorded;
