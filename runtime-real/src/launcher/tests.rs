//! Launchers and supervisors of several versions: what they say to each other, byte by byte and over a connection.

mod hostile;
mod play;
mod recorded;
