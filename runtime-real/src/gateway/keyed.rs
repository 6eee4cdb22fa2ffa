//! What the gateways know of the key of the ring: which one it is, who was not heard because of it, and whether its file is
//! still there. Decides nothing.

use crate::invite::Invitations;
use crate::keys::RingKey;
use crate::net::Rejected;
use crate::supervisor::ring_file::RingFile;
use crate::supervisor::ring_keys::RingKeeper;

/// The key of the ring, as the gateways know it. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The key; none in an open ring.
    pub key: Option<RingKey>,
    /// All keys of the ring on this host; none in an open ring.
    pub keeper: Option<RingKeeper>,
    /// The invitations to the ring; none in an open one.
    pub invitations: Option<Invitations>,
    /// Who was not heard.
    pub rejected: Rejected,
    /// What is known of the key's file.
    pub file: RingFile,
}
