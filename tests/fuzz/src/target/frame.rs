//! The body of a frame on the gossip port's stream side, as `datagram`.

use annulus_core::Channel;

use super::{MIB, Seen, Target, datagram};
use crate::mutate::protobuf;

pub(super) const TARGET: Target = Target {
    name: "frame",
    about: "framed messages of the gossip port, with a round trip of what was read",
    run,
    mutate: protobuf::mutate,
    seeds,
    tell: None,
    bytes_max: 64 * 1024,
    memory_max: 32 * MIB,
};

fn run(bytes: &[u8]) -> Seen {
    datagram::read(Channel::Stream, bytes)
}

fn seeds() -> Vec<Vec<u8>> {
    super::ring::traffic(Channel::Stream)
}
