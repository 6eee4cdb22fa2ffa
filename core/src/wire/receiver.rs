//! The name of the member that a message is for, put into a message that is encoded already: only the sender's numbers know
//! whom it has heard from the address. Receivers of earlier versions pass over it.

use alloc::vec::Vec;
use prost::encoding::fixed64;

use super::envelope::Envelope;
use crate::model::channel::Channel;
use crate::model::stamp::StampSender;

/// Tag and value, and what a longer length of the message takes.
pub(crate) const RECEIVER_BYTES_MAX: usize = 2 + 8 + 1;

/// Of a datagram.
pub(super) const SWIM_RECEIVER: u32 = 107;
/// Of a stream message.
pub(super) const STREAM_RECEIVER: u32 = 110;

const _: () = assert!(SWIM_RECEIVER < 2_048 && STREAM_RECEIVER < 2_048, "their keys have two bytes");

/// The name of a receiver as messages hold it.
pub(crate) const fn name_of(receiver: StampSender) -> u64 {
    u64::from_le_bytes(receiver.0)
}

/// The same message for this member.
pub(crate) fn with_receiver(message: &[u8], channel: Channel, receiver: StampSender) -> Vec<u8> {
    let payload = Envelope::read(message).and_then(Envelope::open);
    let mut payload = payload.expect("a message on its way out is in an envelope in the clear").to_vec();
    let tag = match channel {
        Channel::Datagram => SWIM_RECEIVER,
        Channel::Stream => STREAM_RECEIVER,
    };
    fixed64::encode(tag, &name_of(receiver), &mut payload);
    let named = Envelope::plain(&payload);
    assert!(named.len() <= message.len() + RECEIVER_BYTES_MAX + 2, "a name has its length");
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{MemberId, ProbeSeq};
    use crate::wire::{challenge, stream, swim};

    #[test]
    fn a_message_names_its_receiver_and_is_read_as_before() {
        let (me, other) = (MemberId::from_bytes([3; 16]), MemberId::from_bytes([4; 16]));
        let from = crate::wire::proto::Member {
            swim_port: Some(1),
            gossip_port: Some(1),
            ..challenge::asker(&other)
        };
        let ping = swim::Body::Ping { seq: ProbeSeq(3), forward_to: None };
        let bytes = swim::encode(from.clone(), &ping, Vec::new(), Vec::new(), 9);
        let named = with_receiver(&bytes, Channel::Datagram, StampSender::of(&me));
        assert!(named.len() <= bytes.len() + RECEIVER_BYTES_MAX);
        let read = swim::decode(&named).expect("a datagram");
        assert_eq!((read.receiver, read.digest, read.body), (name_of(StampSender::of(&me)), 9, ping));
        let bytes = stream::encode(from, stream::Body::Ping { seq: ProbeSeq(3) }).expect("short");
        let named = with_receiver(&bytes, Channel::Stream, StampSender::of(&me));
        let read = stream::decode(&named).expect("a message");
        assert_eq!(
            (read.receiver, read.body),
            (name_of(StampSender::of(&me)), stream::Body::Ping { seq: ProbeSeq(3) })
        );
        assert_eq!(stream::decode(&bytes).expect("a message").receiver, 0);
    }
}
