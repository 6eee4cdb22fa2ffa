//! The two ways in which a message travels.

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// One UDP datagram of at most `limits::DATAGRAM_BYTES_MAX` bytes.
    Datagram,
    /// One length-prefixed frame on a TCP connection.
    Stream,
}
