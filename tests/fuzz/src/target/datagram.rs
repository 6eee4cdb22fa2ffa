//! A datagram of the gossip port: what is read of it survives being written and read again.

use annulus_core::{Channel, Message, limits};

use super::{MIB, Seen, Target};
use crate::mutate::protobuf;

pub(super) const TARGET: Target = Target {
    name: "datagram",
    about: "datagrams of the gossip port, with a round trip of what was read",
    run,
    mutate: protobuf::mutate,
    seeds,
    tell: None,
    bytes_max: limits::DATAGRAM_BYTES_MAX + 64,
    memory_max: 4 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    read(Channel::Datagram, bytes)
}

/// Reads a message of either channel.
pub(super) fn read(channel: Channel, bytes: &[u8]) -> Seen {
    match Message::read_twice(channel, bytes) {
        Err(error) => Seen::refused(&error.to_string()),
        Ok(_) => {
            let message = Message::read(channel, bytes).expect("it was read just now");
            let kinds: Vec<&str> = message.rumors.iter().map(|rumor| rumor.key().kind().name()).collect();
            let step = message.ballot.as_ref().map_or("", |ballot| ballot.step);
            Seen::accepted(&format!("{} {step} {}", message.kind, kinds.first().unwrap_or(&"")), kinds.len())
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    super::ring::traffic(Channel::Datagram)
}
