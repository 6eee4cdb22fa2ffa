//! Numbers what a member seals, so that no two messages of a ring have one nonce, and so that a receiver can tell a message
//! that it has had from one that it has not. The sender's side alone: receivers keep their windows themselves.
//!
//! ```text
//! member id, first 8 · boot number, 4, big-endian · salt, 8 · counter, 4, big-endian
//! ```
//!
//! The boot number was raised on disk before the first message. The salt is drawn when the process starts, when the counter
//! is at its end, and when the host has stood still, so that neither a data directory that was copied nor a machine that was
//! put back to an earlier state repeats a nonce. Its first bit tells datagrams from streams, which are counted apart: they
//! overtake each other, and a window for one must not lose the other.

use std::sync::{Mutex, PoisonError};

use annulus_core::MemberId;

use crate::keys::crypto::Nonce;

/// In the first byte of the salt.
const STREAM_BIT: u8 = 0x80;

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Datagrams.
    Datagram,
    /// Frames on streams.
    Stream,
}

/// The nonces of one member and lane.
#[derive(Debug)]
pub(super) struct Nonces {
    member: [u8; 8],
    boot: u32,
    lane: Lane,
    run: Mutex<Run>,
}

/// Nonces with one salt.
#[derive(Clone, Copy, Debug)]
struct Run {
    salt: [u8; 8],
    /// None when the counter is at its end.
    next: Option<u32>,
}

impl Run {
    fn new(lane: Lane) -> Self {
        let random = Nonce::random();
        let mut salt: [u8; 8] = random.0[..8].try_into().expect("a nonce has 24 bytes");
        salt[0] = match lane {
            Lane::Datagram => salt[0] & !STREAM_BIT,
            Lane::Stream => salt[0] | STREAM_BIT,
        };
        Self { salt, next: Some(0) }
    }
}

impl Nonces {
    pub(super) fn new(member: MemberId, boot: u32, lane: Lane) -> Self {
        let (first, _) = member.as_bytes().split_at(8);
        let member = first.try_into().expect("an id has 16 bytes");
        Self { member, boot, lane, run: Mutex::new(Run::new(lane)) }
    }

    /// The next one.
    pub(super) fn next(&self) -> Nonce {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.next.is_none() {
            *run = Run::new(self.lane);
        }
        let counter = run.next.unwrap_or_default();
        run.next = counter.checked_add(1);
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&self.member);
        nonce[8..12].copy_from_slice(&self.boot.to_be_bytes());
        nonce[12..20].copy_from_slice(&run.salt);
        nonce[20..].copy_from_slice(&counter.to_be_bytes());
        Nonce(nonce)
    }

    /// Begins anew with another salt.
    pub(super) fn renew(&self) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Run::new(self.lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(nonce: Nonce) -> ([u8; 8], u32, [u8; 8], u32) {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
        let part = |bytes: &[u8]| bytes.try_into().expect("eight bytes");
        (part(&nonce.0[..8]), number(&nonce.0[8..12]), part(&nonce.0[12..20]), number(&nonce.0[20..]))
    }

    #[test]
    fn a_nonce_says_who_which_start_and_which_message() {
        let member = MemberId::from_bytes([7; 16]);
        let nonces = Nonces::new(member, 3, Lane::Datagram);
        let (first, second) = (parts(nonces.next()), parts(nonces.next()));
        assert_eq!((&first.0[..], first.1, first.3), (&member.as_bytes()[..8], 3, 0));
        assert_eq!((second.0, second.1, second.2, second.3), (first.0, 3, first.2, 1));
        let again = parts(Nonces::new(member, 3, Lane::Datagram).next());
        assert_ne!(again.2, first.2, "a copy of the data directory has another salt");
    }

    #[test]
    fn lanes_never_share_a_nonce() {
        for _ in 0..200 {
            let salt = |lane| parts(Nonces::new(MemberId::from_bytes([7; 16]), 1, lane).next()).2;
            assert!(salt(Lane::Datagram)[0] < STREAM_BIT && salt(Lane::Stream)[0] >= STREAM_BIT);
        }
    }

    #[test]
    fn the_counter_never_comes_round() {
        let nonces = Nonces::new(MemberId::from_bytes([7; 16]), 1, Lane::Stream);
        let before = parts(nonces.next()).2;
        nonces.run.lock().expect("not poisoned").next = Some(u32::MAX);
        let last = parts(nonces.next());
        assert_eq!((last.2, last.3), (before, u32::MAX));
        let after = parts(nonces.next());
        assert!(after.2 != before && after.3 == 0, "a new salt");
        nonces.renew();
        let renewed = parts(nonces.next());
        assert!(renewed.2 != after.2 && renewed.3 == 0);
    }
}
