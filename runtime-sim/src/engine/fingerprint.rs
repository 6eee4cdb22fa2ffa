//! Which two words stand for an event in the trace hash. They are made of numbers alone, so that the wording of an
//! event never changes a hash.

use annulus_core::{ElectionEvent, EventKind, MemberId};

/// Two words that stand for an event in the trace hash: one for its kind, one for its subject.
///
/// Formatting the event would cost more than handling it; bytes that nodes exchange are hashed in full anyway.
pub(crate) fn fingerprint(kind: &EventKind) -> (u64, u64) {
    match kind {
        EventKind::Started { member, incarnation, .. } => (1 | incarnation.0 << 8, id(member)),
        EventKind::MemberChanged { member, to, incarnation, .. } => {
            (2 | (*to as u64) << 8 | incarnation.0 << 16, id(member))
        }
        EventKind::MemberForgotten { member } => (3, id(member)),
        EventKind::ProbeFailed { member, ping, .. } => (4 | ping.0 << 8, id(member)),
        EventKind::SuspicionConfirmed { member, accusers, .. } => (5 | u64::from(*accusers) << 8, id(member)),
        EventKind::Refuted { accusation, incarnation } => (6 | (*accusation as u64) << 8, incarnation.0),
        EventKind::LocalHealth { score } => (7, u64::from(*score)),
        EventKind::Stalled { for_ms } => (8, *for_ms),
        EventKind::RumorAccepted { key, .. } => (9 | (key.kind() as u64) << 8, 0),
        EventKind::RumorRepaired { key } => (19 | (key.kind() as u64) << 8, 0),
        EventKind::Synced { with, learned, sent } => {
            (10 | u64::from(*learned) << 8 | u64::from(*sent) << 36, id(with))
        }
        EventKind::StatementRefused { key, refusal, .. } => (22 | (key.kind() as u64) << 8, *refusal as u64),
        EventKind::MessageDropped { fault, times, .. } => (23 | (*fault as u64) << 8, *times),
        EventKind::IdentityRunsTwice { member, .. } => (24, id(member)),
        EventKind::Banned { member, .. } => (11, id(member)),
        EventKind::BanLifted { member, .. } => (11 | 1 << 8, id(member)),
        EventKind::ServiceChanged { to, .. } => (12, to.map_or(u64::MAX, |state| state as u64)),
        EventKind::ObstacleChanged { obstacle, what, .. } => {
            (20 | (*obstacle as u64) << 8, u64::from(what.is_some()))
        }
        EventKind::DecodeFailed { channel, .. } => (13, *channel as u64),
        EventKind::LimitReached { limit } => (14, limit.name().len() as u64),
        EventKind::PersistFailed { .. } => (15, 0),
        EventKind::IdentityConflict { .. } => (17, 0),
        EventKind::IdentityTakenOver { former } => (21, id(former)),
        EventKind::RingKeyChanged { ring_key, step, .. } => (23 | (*step as u64) << 8, ring_key.revision),
        EventKind::RingKeyFailed { ring_key, .. } => (24, ring_key.revision),
        EventKind::UpdateChanged { step, from, .. } => (25 | (*step as u64) << 8, u64::from(from.is_some())),
        EventKind::Leaving => (16, 0),
        EventKind::VersionLost { key, version, .. } => (40 | (key.kind() as u64) << 8, *version),
        EventKind::Election { term, what, .. } => election(*term, what),
    }
}

fn election(term: u64, what: &ElectionEvent) -> (u64, u64) {
    let (kind, about) = match what {
        ElectionEvent::Started => (0, 0),
        ElectionEvent::Voted { candidate } => (1, id(candidate)),
        ElectionEvent::Won { votes, voters } => (2, u64::from(*votes) << 32 | u64::from(*voters)),
        ElectionEvent::Learned { leader } => (3, id(leader)),
        ElectionEvent::Lost { why } => (4, *why as u64),
        ElectionEvent::HandedOver { to } => (5, to.as_ref().map_or(0, id)),
        ElectionEvent::ElectorateChanged { version, .. } => (6, *version),
        ElectionEvent::Resumed => (7, 0),
    };
    (18 | kind << 8 | term << 16, about)
}

/// The latter half of a member's id.
fn id(member: &MemberId) -> u64 {
    let (_, low) = member.as_bytes().split_at(8);
    low.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
}
