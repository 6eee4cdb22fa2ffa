//! What every message of the gossip port passes: in a ring with a key it is sealed on its way out and opened on its way in,
//! and what cannot be opened is dropped here, noted, and answered by nothing.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use annulus_core::{Envelope, MemberId};

use super::rejected::{Rejected, Way};
use super::seal::{Lane, Seal, Unreadable};
use crate::keys::crypto::SharedKey;

/// A ring key before the member that uses it is known.
#[derive(Clone, Debug)]
pub struct GateParts {
    /// The key, and the number of this start; none in an open ring.
    pub key: Option<(SharedKey, u32)>,
    /// Where the gate notes what it does not let in.
    pub rejected: Rejected,
}

impl GateParts {
    /// The gate of an open ring.
    #[must_use]
    pub fn open(rejected: Rejected) -> Self {
        Self { key: None, rejected }
    }

    /// The gate of this member.
    #[must_use]
    pub fn of(self, member: MemberId) -> Gate {
        let seal = self.key.map(|(key, boot)| Arc::new(Seal::new(key, member, boot)));
        Gate { seal, rejected: self.rejected }
    }
}

/// Seals and opens. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Gate {
    seal: Option<Arc<Seal>>,
    rejected: Rejected,
}

impl Gate {
    /// The message as it goes out.
    #[must_use]
    pub fn outward<'b>(&self, lane: Lane, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        match &self.seal {
            Some(seal) => Cow::Owned(seal.seal(lane, bytes)),
            None => Cow::Borrowed(bytes),
        }
    }

    /// The message for the node; none where it is not heard.
    #[must_use]
    pub fn inward<'b>(&self, from: SocketAddr, way: Way, bytes: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        let read = match &self.seal {
            Some(seal) => seal.open(bytes).map(Cow::Owned),
            // What is no envelope is the node's to refuse.
            None if Envelope::read(bytes).is_ok_and(|envelope| envelope.is_sealed()) => {
                Err(Unreadable::Sealed)
            }
            None => Ok(Cow::Borrowed(bytes)),
        };
        read.map_err(|why| self.rejected.note(from, way, why)).ok()
    }

    /// The host has stood still, and may have been put back to an earlier state.
    pub fn renew(&self) {
        if let Some(seal) = &self.seal {
            seal.renew();
        }
    }
}
