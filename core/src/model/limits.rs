//! The bounds on all collections and texts that a peer or an operator can make grow, in one place. No collection of the
//! core may grow without one.
//!
//! Reaching one is counted and reported (`EventKind::LimitReached`) and drops the least valuable thing
//! first; it is never a crash. Relations between limits are checked when the crate is compiled.

use crate::model::reach;

/// Largest datagram accepted, in bytes, and the largest that a member can be told to send: one jumbo frame's worth.
pub const DATAGRAM_BYTES_MAX: usize = 8 * 1024;
/// What a datagram may have at least: a step of an election, with its sender's word, does not fit into less.
pub const DATAGRAM_BYTES_MIN: usize = 970;
/// What the seal of a ring key adds to a message at most, in bytes: flag, nonce, authenticator, and a longer length.
pub const SEAL_BYTES_MAX: usize = 47;
/// Largest stream message sent or accepted, in bytes, without its length prefix.
/// The prefix is a big-endian `u32`, so its first byte is 0x00 and never 0xFF.
pub const STREAM_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Members that a node keeps, departed ones included.
pub const MEMBERS_MAX: usize = 65_536;
/// Members that a node knows by hearsay: they were spoken of and never answered.
pub const HEARSAY_MAX: usize = 8_192;
/// Of those, how many on the word of one member.
pub const HEARSAY_BY_ONE_MAX: usize = 2_048;
/// Members that spoke themselves and have not answered yet.
pub const STRANGERS_MAX: usize = 1_024;
/// Members that take part at one address and port: a host that lost its disk comes back as another one.
pub const MEMBERS_AT_ADDRESS_MAX: usize = 4;
/// Rumors of members that are known by hearsay: they wait until those have answered. For each of them, and in bytes.
pub const WAITING_RUMORS_MAX: usize = 64;
/// The same of all together.
pub const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rumors of all kinds but `member` that a node keeps.
pub const RUMORS_MAX: usize = 65_536;
/// Bytes of all rumors but the members' records that a node keeps, encoded.
pub const RUMORS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// A group's configuration, in bytes (as in Habitat).
pub const SERVICE_CONFIG_BYTES_MAX: usize = 64 * 1024;
/// One file of a group, in bytes (as in Habitat).
pub const SERVICE_FILE_BYTES_MAX: usize = 64 * 1024;
/// A group's configuration or file that came sealed: the box as text, with a signature beside it.
pub const SEALED_BYTES_MAX: usize = 92 * 1024;
/// Groups with configuration that operators may make through one member, and that come in on the word of keys that are no
/// member's. What was taken back does not count.
pub const SERVICE_CONFIGS_BY_ONE_MAX: usize = 1_024;
/// The same in the whole ring: one member leaves room for the others'. Twice as many are believed, so that the versions that
/// both sides of a partition acknowledged have room everywhere.
pub const SERVICE_CONFIGS_MAX: usize = 3 * SERVICE_CONFIGS_BY_ONE_MAX;
/// Files of all groups together that operators may make through one member.
pub const SERVICE_FILES_BY_ONE_MAX: usize = 1_024;
/// The same in the whole ring; twice as many are believed.
pub const SERVICE_FILES_MAX: usize = 3 * SERVICE_FILES_BY_ONE_MAX;
/// Files of one group that operators may make through one member.
pub const SERVICE_FILES_PER_GROUP_BY_ONE_MAX: usize = 64;
/// The same in the whole ring; twice as many are believed.
pub const SERVICE_FILES_PER_GROUP_MAX: usize = 3 * SERVICE_FILES_PER_GROUP_BY_ONE_MAX;
/// Bytes of all groups' configuration and files together that operators may make through one member, encoded.
pub const GROUP_BYTES_BY_ONE_MAX: usize = 16 * 1024 * 1024;
/// The same in the whole ring; twice as many are believed.
pub const GROUP_BYTES_MAX: usize = 3 * GROUP_BYTES_BY_ONE_MAX;
/// Bodies of one version of a group's configuration or file that are told apart; of more, some losers stay untold.
pub const CONTENDERS_MAX: usize = 8;
/// Versions of a group's configuration or file that a member remembers having had.
pub const HISTORY_MAX: usize = 8;
/// Largest single rumor, encoded, in bytes.
pub const RUMOR_BYTES_MAX: usize = 256 * 1024;
/// Operator departures (bans) that a node keeps; they are never collected, so one more is refused.
pub const DEPARTURES_MAX: usize = 32_768;
/// Of those, how many on the word of one member.
pub const DEPARTURES_BY_ONE_MAX: usize = 8_192;
/// As long as there are so many only, more come in on the word of keys that are no member's.
pub const DEPARTURES_BY_STRANGERS_MAX: usize = 16_384;
/// Largest rumor that is kept without being understood, in bytes.
pub const OPAQUE_BYTES_MAX: usize = 96 * 1024;
/// Rumors that are kept without being understood.
pub const OPAQUES_MAX: usize = 1_024;
/// Bytes of all of them together.
pub const OPAQUES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of one kind and author, where nothing tells one statement from another.
pub const OPAQUE_PLACES_MAX: usize = 8;
/// Rumors waiting to be told; above it the coolest is forgotten by the fast path (digests still repair it).
pub const HOT_RUMORS_MAX: usize = 16_384;
/// Accusers that a suspicion records: as many as can still shorten it (Lifeguard's K).
pub const ACCUSERS_MAX: usize = 4;
/// Probes that a member relays for others at one time.
pub const RELAYS_MAX: usize = 1_024;
/// Second-hand accusations waiting to be put to the accused.
pub const VERIFICATIONS_MAX: usize = 4_096;
/// Addresses given with `--peer`.
pub const PEERS_MAX: usize = 256;
/// Records of one digest exchange, per message.
pub const SYNC_RECORDS_MAX: usize = 65_536;
/// Keys that a member opens messages with: the current one, one that is offered and one that is retired, and the clear.
pub const OPEN_KEYS_MAX: usize = 4;
/// A key of the ring that is sealed for one member, with its ring's name, in bytes.
pub const SEALED_KEY_BYTES_MAX: usize = 512;
/// Keys that were ever offered to a ring: one a month for forty years.
pub const RING_KEYS_MAX: usize = 512;
/// As long as there are so many only, more come in on the word of keys that are no member's.
pub const RING_KEYS_BY_STRANGERS_MAX: usize = 256;
/// Of those, how many on the word of one member: one that offers keys without end leaves room for the others'.
pub const RING_KEYS_BY_ONE_MAX: usize = 64;
/// Services loaded on one supervisor.
pub const SERVICES_MAX: usize = 1_024;
/// Commands that wait for an earlier one about the same service.
pub const SERVICE_COMMANDS_MAX: usize = 64;
/// Commands about services that wait until the supervisor's identity is on disk: one for each service and some more.
pub const EARLY_COMMANDS_MAX: usize = 2 * SERVICES_MAX;
/// Largest service spec, encoded, in bytes.
pub const SERVICE_SPEC_BYTES_MAX: usize = 64 * 1024;
/// Why a build was refused, as a row keeps it, in bytes.
pub const BUILD_REASON_BYTES_MAX: usize = 1_024;
/// Groups with a leader that one supervisor takes part in, or once did: a vote is never forgotten.
pub const ELECTIONS_MAX: usize = 2_048;
/// Members that vote in one group; further ones follow without a vote. A request lists them all in one datagram.
pub const ELECTORATE_MAX: usize = 25;
/// Candidates of one group that a voter compares.
pub const ASKS_MAX: usize = 64;
/// Longest lease that a voter promises, in milliseconds: as long as a restarted one may have to wait.
pub const LEASE_MS_MAX: u64 = 60_000;
/// Highest term that is ever believed; what is believed now is in [`reach`].
pub const ELECTION_TERM_MAX: u64 = reach::NUMBER_MAX;
/// Highest number of a list of voters that is ever believed.
pub const ELECTORATE_VERSION_MAX: u64 = reach::NUMBER_MAX;
/// Outputs of one input before they are drained.
pub const OUTPUTS_MAX: usize = SYNC_RECORDS_MAX * 16;
/// Highest incarnation that is ever believed: a flipped bit must not take a member to the top, from where it could never
/// refute again. What is believed now, so that it can be outbid, is in [`reach`].
pub const INCARNATION_MAX: u64 = reach::NUMBER_MAX;
/// Highest number of a version of a group's configuration or file: nothing could follow a higher one.
pub const VERSION_MAX: u64 = reach::NUMBER_MAX;
/// How far a version's number may lie above the current one unless its operator says that this is meant. Seconds,
/// milliseconds and dates like 20261130120000 are numbers below it; a key that was held down is not.
pub const VERSION_LEAP_MAX: u64 = 1 << 45;
/// Numbers of sealed messages, below the highest of a series, that a receiver tells apart.
pub const REPLAY_WINDOW: usize = 1_024;
/// Members whose numbers a receiver remembers. One more takes the place of the one that was silent the longest, which is
/// asked who it is when it speaks again: that costs it a round trip and no state.
pub const REPLAY_SENDERS_MAX: usize = 16_384;
/// Senders that were asked who they are and have not answered; the question to the one that was asked first is forgotten.
pub const QUESTIONS_MAX: usize = 1_024;
/// Messages that are held for one of them until it answers, those with the highest numbers …
pub const HELD_MAX: usize = 8;
/// … and their bytes …
pub const HELD_BYTES_MAX: usize = 64 * 1024;
/// … and the bytes of all of them together.
pub const ALL_HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Addresses to which a question or an answer went lately; while no more are remembered, none is asked or answered.
pub const ASKED_ADDRESSES_MAX: usize = 4_096;
/// Sources of messages that were dropped for their numbers, which are reported one by one.
pub const DROPPED_SOURCES_MAX: usize = 64;
/// Length of a service group's text, in bytes.
pub const SERVICE_GROUP_BYTES_MAX: usize = 255;
/// Length of an origin, name or version, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

const _: () = assert!(STREAM_BYTES_MAX < 0x0100_0000, "the length prefix must begin with 0x00");
const _: () = assert!(DATAGRAM_BYTES_MIN < DATAGRAM_BYTES_MAX && DATAGRAM_BYTES_MAX < STREAM_BYTES_MAX);
const _: () =
    assert!(STREAM_BYTES_MAX + SEAL_BYTES_MAX < 0x0100_0000, "a sealed message has such a prefix too");
const _: () = assert!(SEAL_BYTES_MAX >= (2 + 26 + 16) + 3, "flag, nonce, authenticator, length");
const _: () =
    assert!(RUMOR_BYTES_MAX < STREAM_BYTES_MAX / 4, "several rumors must fit into one stream message");
const _: () = assert!(DEPARTURES_MAX <= MEMBERS_MAX);
const _: () = assert!(HEARSAY_BY_ONE_MAX * 2 < HEARSAY_MAX && HEARSAY_MAX < MEMBERS_MAX);
const _: () = assert!(WAITING_BYTES_MAX < RUMORS_BYTES_MAX && STRANGERS_MAX < HEARSAY_MAX);
const _: () = assert!(SERVICE_CONFIG_BYTES_MAX < RUMOR_BYTES_MAX && SERVICE_FILE_BYTES_MAX < RUMOR_BYTES_MAX);
const _: () = assert!(GROUP_BYTES_MAX * 2 + OPAQUES_BYTES_MAX < RUMORS_BYTES_MAX);
const _: () = assert!(OPAQUE_BYTES_MAX < RUMOR_BYTES_MAX && SEALED_BYTES_MAX < RUMOR_BYTES_MAX);
const _: () = assert!(SERVICE_FILE_BYTES_MAX * 4 / 3 + 1024 < SEALED_BYTES_MAX, "a whole file can be sealed");
const _: () = assert!(OPAQUE_BYTES_MAX < OPAQUES_BYTES_MAX && OPAQUES_MAX < RUMORS_MAX);
const _: () = assert!(OPAQUE_PLACES_MAX < u8::MAX as usize);
// Plain and sealed, and twice as many as operators may make.
const _: () = assert!((SERVICE_CONFIGS_MAX + SERVICE_FILES_MAX) * 4 < RUMORS_MAX);
// One member, and keys that are no member's, leave as much again to the others.
const _: () = assert!(SERVICE_CONFIGS_BY_ONE_MAX * 3 <= SERVICE_CONFIGS_MAX);
const _: () = assert!(SERVICE_FILES_BY_ONE_MAX * 3 <= SERVICE_FILES_MAX);
const _: () = assert!(SERVICE_FILES_PER_GROUP_BY_ONE_MAX * 3 <= SERVICE_FILES_PER_GROUP_MAX);
const _: () = assert!(GROUP_BYTES_BY_ONE_MAX * 3 <= GROUP_BYTES_MAX);
const _: () = assert!(DEPARTURES_BY_STRANGERS_MAX + 2 * DEPARTURES_BY_ONE_MAX <= DEPARTURES_MAX);
const _: () = assert!(RING_KEYS_BY_STRANGERS_MAX + 2 * RING_KEYS_BY_ONE_MAX < RING_KEYS_MAX);

const _: () = assert!(RUMORS_BYTES_MAX > RUMOR_BYTES_MAX * 64, "a few large rumors do not fill the store");
const _: () = assert!(HOT_RUMORS_MAX <= RUMORS_MAX + MEMBERS_MAX, "only a known rumor is hot");
const _: () = assert!(VERIFICATIONS_MAX <= MEMBERS_MAX, "only members are looked into");
const _: () = assert!(SYNC_RECORDS_MAX >= MEMBERS_MAX, "one exchange compares every member");
const _: () =
    assert!(SYNC_RECORDS_MAX * 16 < STREAM_BYTES_MAX, "all keys of one exchange fit into a message");
const _: () = assert!(SERVICE_SPEC_BYTES_MAX < RUMOR_BYTES_MAX);
const _: () = assert!(SERVICE_FILES_PER_GROUP_MAX <= SERVICE_FILES_MAX);
const _: () = assert!(SERVICES_MAX <= ELECTIONS_MAX, "every service of a supervisor may have a leader");
const _: () = assert!(ELECTORATE_MAX % 2 == 1, "an even electorate needs as many votes as the next odd one");
const _: () =
    assert!(ELECTORATE_MAX * 16 < DATAGRAM_BYTES_MAX / 2, "a request lists all voters in one datagram");
const _: () = assert!(ASKS_MAX >= ELECTORATE_MAX, "every voter may be a candidate");
const _: () = assert!(INCARNATION_MAX < u64::MAX / 2, "what follows the highest incarnation is a number");
const _: () = assert!(
    VERSION_MAX / VERSION_LEAP_MAX > 100_000,
    "no series of slips leads to a number without a successor"
);
const _: () = assert!(ELECTION_TERM_MAX < u64::MAX / 2, "what follows the highest term is a number");
const _: () = assert!(VERSION_LEAP_MAX < reach::ALWAYS, "what needs no second word is believed");
const _: () = assert!(OUTPUTS_MAX > SYNC_RECORDS_MAX, "one input may answer with every record");
const _: () = assert!(ACCUSERS_MAX < u8::MAX as usize, "accusers are counted in a byte");
const _: () =
    assert!(SERVICE_GROUP_BYTES_MAX < DATAGRAM_BYTES_MAX / 2, "a group's name fits into every message");
const _: () =
    assert!(NAME_BYTES_MAX * 2 > SERVICE_GROUP_BYTES_MAX, "a service and a group of this length have a name");
const _: () = assert!(CONTENDERS_MAX > 1 && HISTORY_MAX > 1);
const _: () = assert!(OPEN_KEYS_MAX > 2, "a retired key, the current one and the one that is offered");
const _: () = assert!(RING_KEYS_BY_ONE_MAX * 2 < RING_KEYS_MAX, "one member does not take the room of all");
const _: () = assert!(RING_KEYS_MAX * 64 < RUMORS_MAX, "keys leave room for other rumors");
const _: () = assert!(SEALED_KEY_BYTES_MAX > 2 * NAME_BYTES_MAX, "a key file with a long name can be sealed");
const _: () = assert!(HELD_BYTES_MAX * 8 < ALL_HELD_BYTES_MAX, "one sender does not take the room of all");
const _: () = assert!(HELD_MAX > 2 && HELD_BYTES_MAX > 4 * DATAGRAM_BYTES_MAX, "a join is held whole");
const _: () = assert!(QUESTIONS_MAX < ASKED_ADDRESSES_MAX && ASKED_ADDRESSES_MAX < REPLAY_SENDERS_MAX);

/// A limit that can be reached, by its name for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// [`HOT_RUMORS_MAX`].
    HotRumors,
    /// [`RUMORS_MAX`], or another bound of the rumor store.
    Rumors,
    /// [`RUMORS_BYTES_MAX`].
    RumorBytes,
    /// [`OPAQUES_MAX`] or [`OPAQUES_BYTES_MAX`].
    OpaqueRumors,
    /// [`STREAM_BYTES_MAX`].
    StreamBytes,
    /// [`MEMBERS_MAX`].
    Members,
    /// [`HEARSAY_MAX`] or [`HEARSAY_BY_ONE_MAX`].
    Hearsay,
    /// [`DEPARTURES_MAX`] or [`DEPARTURES_BY_ONE_MAX`].
    Departures,
    /// [`RING_KEYS_MAX`], [`RING_KEYS_BY_ONE_MAX`] or [`OPEN_KEYS_MAX`].
    RingKeys,
    /// [`RELAYS_MAX`].
    Relays,
    /// [`VERIFICATIONS_MAX`].
    Verifications,
    /// [`SERVICE_CONFIGS_MAX`] or [`SERVICE_CONFIGS_BY_ONE_MAX`].
    GroupConfigs,
    /// [`SERVICE_FILES_MAX`] or [`SERVICE_FILES_BY_ONE_MAX`].
    GroupFiles,
    /// [`SERVICE_FILES_PER_GROUP_MAX`] or [`SERVICE_FILES_PER_GROUP_BY_ONE_MAX`].
    FilesOfOneGroup,
    /// [`GROUP_BYTES_MAX`] or [`GROUP_BYTES_BY_ONE_MAX`].
    GroupBytes,
    /// [`RUMOR_BYTES_MAX`], by what a service exports.
    ExportedConfiguration,
    /// [`SERVICES_MAX`].
    Services,
    /// [`SERVICE_COMMANDS_MAX`] or [`EARLY_COMMANDS_MAX`].
    ServiceCommands,
    /// [`SERVICE_SPEC_BYTES_MAX`].
    ServiceSpecBytes,
    /// [`ELECTIONS_MAX`].
    Elections,
    /// What is believed by [`reach`], by a version or the epoch of a ban that another member told of.
    Numbers,
    /// [`ELECTION_TERM_MAX`], by this member's own term.
    ElectionTerms,
    /// [`ELECTION_TERM_MAX`] or [`LEASE_MS_MAX`], by another member's request.
    ElectionTermsAndLeases,
}

impl Limit {
    /// Every limit.
    pub const ALL: &'static [Self] = &[
        Self::HotRumors,
        Self::Rumors,
        Self::RumorBytes,
        Self::OpaqueRumors,
        Self::StreamBytes,
        Self::Members,
        Self::Hearsay,
        Self::Departures,
        Self::RingKeys,
        Self::Relays,
        Self::Verifications,
        Self::GroupConfigs,
        Self::GroupFiles,
        Self::FilesOfOneGroup,
        Self::GroupBytes,
        Self::ExportedConfiguration,
        Self::Services,
        Self::ServiceCommands,
        Self::ServiceSpecBytes,
        Self::Elections,
        Self::Numbers,
        Self::ElectionTerms,
        Self::ElectionTermsAndLeases,
    ];

    /// A stable name, for people and for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HotRumors => "hot rumors",
            Self::Rumors => "rumors",
            Self::RumorBytes => "bytes of rumors",
            Self::OpaqueRumors => "rumors that are not understood",
            Self::StreamBytes => "stream bytes",
            Self::Members => "members",
            Self::Hearsay => "members that never answered",
            Self::Departures => "departures",
            Self::RingKeys => "ring keys",
            Self::Relays => "relays",
            Self::Verifications => "verifications",
            Self::GroupConfigs => "groups with configuration",
            Self::GroupFiles => "group files",
            Self::FilesOfOneGroup => "files of one group",
            Self::GroupBytes => "bytes of group configuration and files",
            Self::ExportedConfiguration => "exported configuration",
            Self::Services => "services of one supervisor",
            Self::ServiceCommands => "commands waiting for one service",
            Self::ServiceSpecBytes => "bytes of a service spec",
            Self::Elections => "elections",
            Self::Numbers => "numbers that can be outbid",
            Self::ElectionTerms => "election terms",
            Self::ElectionTermsAndLeases => "election terms and leases",
        }
    }
}

impl core::fmt::Display for Limit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_limit_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Limit::ALL.iter().map(|limit| limit.name()).collect();
        assert_eq!(names.len(), Limit::ALL.len());
        assert!(names.iter().all(|name| !name.is_empty()));
    }
}
