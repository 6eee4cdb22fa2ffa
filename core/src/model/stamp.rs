//! The number of a sealed message: who sends, in which start, in which series, and which message of it. A runtime seals with
//! it as the nonce, so that no message has the number of another one, and gives it with each message that it opened.
//!
//! ```text
//! member id, first 8 · boot number, 4, big-endian · salt, 8 · counter, 4, big-endian
//! ```
//!
//! The boot number is raised on disk before the first message. A salt is drawn when a process starts, when the counter is at
//! its end, and when the host has stood still, so that neither a data directory that was copied nor a machine that was put
//! back to an earlier state repeats a number. Its first bit tells datagrams from streams, which are counted apart: they
//! overtake each other, and the window for one must not lose the other.

use crate::model::channel::Channel;
use crate::model::id::MemberId;

/// In the first byte of a salt: it belongs to streams.
const STREAM_BIT: u8 = 0x80;

/// How much of its sender's id a stamp holds.
const SENDER_BYTES: usize = 8;

/// The beginning of the id of a member, as stamps have it. The id is a hash, so the beginning tells members apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StampSender(pub [u8; SENDER_BYTES]);

impl StampSender {
    /// Of this member.
    #[must_use]
    pub fn of(member: &MemberId) -> Self {
        let (first, _) =
            member.as_bytes().split_first_chunk::<SENDER_BYTES>().expect("an id has sixteen bytes");
        Self(*first)
    }
}

/// Eight random bytes that tell one series of numbers from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt(pub [u8; 8]);

impl Salt {
    /// Out of random bits, for messages of this channel.
    #[must_use]
    pub const fn new(channel: Channel, random: u64) -> Self {
        let mut salt = random.to_be_bytes();
        salt[0] = match channel {
            Channel::Datagram => salt[0] & !STREAM_BIT,
            Channel::Stream => salt[0] | STREAM_BIT,
        };
        Self(salt)
    }

    /// The channel whose messages it numbers.
    #[must_use]
    pub const fn channel(self) -> Channel {
        if self.0[0] & STREAM_BIT == 0 { Channel::Datagram } else { Channel::Stream }
    }
}

/// The number of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Who sealed the message, which may be another member than the one that speaks in it: helpers pass answers on.
    pub sender: StampSender,
    /// In which of its starts.
    pub boot: u32,
    /// In which series of that start.
    pub salt: Salt,
    /// Which message of the series.
    pub counter: u32,
}

impl Stamp {
    /// How many bytes it has: as many as the nonce of a seal.
    pub const BYTES: usize = 24;

    /// The bytes of the nonce.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let parts = [&self.sender.0[..], &self.boot.to_be_bytes(), &self.salt.0, &self.counter.to_be_bytes()];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// Reads [`Self::to_bytes`] back. Any bytes are a stamp: it proves nothing.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut parts = bytes.iter().copied();
        let mut eight = || {
            let mut part = [0; 8];
            part.iter_mut().zip(parts.by_ref()).for_each(|(to, from)| *to = from);
            part
        };
        let (sender, middle, last) = (eight(), eight(), eight());
        let [b0, b1, b2, b3, s0, s1, s2, s3] = middle;
        let [s4, s5, s6, s7, c0, c1, c2, c3] = last;
        Self {
            sender: StampSender(sender),
            boot: u32::from_be_bytes([b0, b1, b2, b3]),
            salt: Salt([s0, s1, s2, s3, s4, s5, s6, s7]),
            counter: u32::from_be_bytes([c0, c1, c2, c3]),
        }
    }
}

const _: () = assert!(Stamp::BYTES == SENDER_BYTES + 4 + 8 + 4, "a stamp is as long as a nonce");

/// The series in which a member numbers its messages: a new one at each start and after each time that its host has stood
/// still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// Which start, raised on disk before the first message.
    pub boot: u32,
    /// The salt of datagrams.
    pub datagrams: Salt,
    /// The salt of streams.
    pub streams: Salt,
}

impl Series {
    /// Of this start, with salts of random bits that the runtime draws where a seeded generator could repeat itself.
    #[must_use]
    pub const fn new(boot: u32, random: [u64; 2]) -> Self {
        let [datagrams, streams] = random;
        Self {
            boot,
            datagrams: Salt::new(Channel::Datagram, datagrams),
            streams: Salt::new(Channel::Stream, streams),
        }
    }

    /// The salt of this channel.
    #[must_use]
    pub const fn salt(&self, channel: Channel) -> Salt {
        match channel {
            Channel::Datagram => self.datagrams,
            Channel::Stream => self.streams,
        }
    }
}

/// Where a member's numbers stand: its series and the number that the next message of each channel will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The series.
    pub series: Series,
    /// The next datagram's counter.
    pub datagrams: u32,
    /// The next stream message's counter.
    pub streams: u32,
}

impl Standing {
    /// The next counter of this channel.
    #[must_use]
    pub const fn next(&self, channel: Channel) -> u32 {
        match channel {
            Channel::Datagram => self.datagrams,
            Channel::Stream => self.streams,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_nonce_is_a_stamp_and_back(bytes: [u8; 24]) {
            prop_assert_eq!(Stamp::from_bytes(&bytes).to_bytes(), bytes);
        }
    }

    #[test]
    fn a_stamp_says_who_which_start_and_which_message() {
        let member = MemberId::from_bytes([7; 16]);
        let series = Series::new(3, [u64::MAX, 0]);
        let stamp = Stamp {
            sender: StampSender::of(&member),
            boot: 3,
            salt: series.salt(Channel::Stream),
            counter: 9,
        };
        let bytes = stamp.to_bytes();
        assert_eq!(
            (&bytes[..8], &bytes[8..12], &bytes[20..]),
            (&[7; 8][..], &[0, 0, 0, 3][..], &[0, 0, 0, 9][..])
        );
        for channel in Channel::ALL {
            assert_eq!(series.salt(channel).channel(), channel, "channels never share a number");
        }
    }
}
