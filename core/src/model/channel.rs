//! The two ways in which a message travels.

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// One UDP datagram of at most `Timings::datagram_bytes_max` bytes.
    Datagram,
    /// One length-prefixed frame on a TCP connection.
    Stream,
}

impl Channel {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Datagram, Self::Stream];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datagram => "datagram",
            Self::Stream => "stream",
        }
    }
}
