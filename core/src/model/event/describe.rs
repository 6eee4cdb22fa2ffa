//! Events described once: the name of every kind and of every field, in the order in which they are shown.
//!
//! Logs, `/events`, traces and their reader are made from these tables; no other place may spell a kind or a field.
//! A name is snake_case and stays what it is: operators' programs and kept traces know it.

use super::field::{Field, FieldError, FieldReader, FieldValue, FieldVisitor, read_purpose, visit_purpose};
use super::{EventKind, Why};
use crate::model::election::ElectionEvent;
use crate::model::id::{FileName, MemberId, ServiceGroup};
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{KeyParts, Part, RumorKey, RumorKind};

/// `field` is called `field` outside, `field: "name"` is called `name`.
macro_rules! name_of {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

/// Makes both directions of an enum out of one table.
///
/// `"name" = Variant { field, field: "name outside" };` is one row, with parentheses where the variant has no names.
/// A last row `.. = Variant { what: Type, … };` stands for all kinds of an inner enum, whose names and fields become
/// those of the outer one. The compiler refuses a variant that is not in the table and a field that is not in its row.
macro_rules! described {
    ($type:ident {
        $($kind:literal = $variant:ident
            $({ $($field:ident $(: $outside:literal)?),* $(,)? })?
            $(( $($unnamed:ident $(: $given:literal)?),* ))?;)*
        $(.. = $outer:ident { $what:ident: $inner:ident $(, $beside:ident $(: $called:literal)?)* };)?
    }) => {
        impl $type {
            /// The names of its own kinds.
            pub const NAMES: &'static [&'static str] = &[$($kind),*];

            /// The names of all fields of all its kinds, some more than once.
            pub const FIELDS: &'static [&'static str] = &[
                $($($(name_of!($field $($outside)?),)*)? $($(name_of!($unnamed $($given)?),)*)?)*
                $($(name_of!($beside $($called)?),)*)?
            ];

            /// The name of the kind.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)*
                    $(Self::$outer { $what, .. } => $what.name(),)?
                }
            }

            /// Shows every field, in the order of the table.
            pub fn visit(&self, visitor: &mut dyn FieldVisitor) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(( $($unnamed),* ))? => {
                        $($(Field::visit($field, name_of!($field $($outside)?), visitor);)*)?
                        $($(Field::visit($unnamed, name_of!($unnamed $($given)?), visitor);)*)?
                    })*
                    $(Self::$outer { $what, $($beside),* } => {
                        $what.visit(visitor);
                        $(Field::visit($beside, name_of!($beside $($called)?), visitor);)*
                    })?
                }
            }

            /// Makes the value of its kind's name and its fields again; fields of other names are passed over.
            ///
            /// # Errors
            /// There is no such kind, or a field of it is missing or holds a value that is not allowed.
            pub fn read(name: &str, reader: &impl FieldReader) -> Result<Self, FieldError> {
                match name {
                    $($kind => Ok(Self::$variant
                        $({ $($field: Field::read(name_of!($field $($outside)?), reader)?),* })?
                        $(( $(Field::read(name_of!($unnamed $($given)?), reader)?),* ))?),)*
                    _ => described!(@other name, reader $(, $outer {
                        $what: $inner $(, $beside: name_of!($beside $($called)?))*
                    })?),
                }
            }
        }
    };
    (@other $name:ident, $reader:ident) => { Err(FieldError::Kind) };
    (@other $name:ident, $reader:ident, $outer:ident {
        $what:ident: $inner:ident $(, $beside:ident: $called:expr)*
    }) => {
        Ok(Self::$outer { $what: $inner::read($name, $reader)? $(, $beside: Field::read($called, $reader)?)* })
    };
}

described! {
    EventKind {
        "started" = Started { member, incarnation, restored };
        "member_changed" = MemberChanged { member, from, to, incarnation, why };
        "member_forgotten" = MemberForgotten { member };
        "probe_failed" = ProbeFailed { member, ping: "ping_input", indirect: "indirect_input", refused, nacks };
        "suspicion_confirmed" = SuspicionConfirmed { member, by, accusers };
        "refuted" = Refuted { accusation, incarnation };
        "local_health" = LocalHealth { score };
        "stalled" = Stalled { for_ms };
        "rumor_accepted" = RumorAccepted { key: "rumor", from };
        "rumor_repaired" = RumorRepaired { key: "rumor" };
        "version_lost" = VersionLost { key: "rumor", version, winner };
        "synced" = Synced { with, learned, sent };
        "banned" = Banned { member, by };
        "ban_lifted" = BanLifted { member, by };
        "service_changed" = ServiceChanged { service, from, to, reason };
        "obstacle_changed" = ObstacleChanged { service, obstacle, hook, what: "reason" };
        "statement_refused" = StatementRefused { from, author, key: "rumor", refusal: "reason" };
        "message_dropped" = MessageDropped { from, fault: "reason", times };
        "identity_runs_twice" = IdentityRunsTwice { member, address };
        "decode_failed" = DecodeFailed { from, channel, error };
        "limit_reached" = LimitReached { limit };
        "persist_failed" = PersistFailed { reason };
        "identity_conflict" = IdentityConflict { address, yields };
        "identity_taken_over" = IdentityTakenOver { former };
        "ring_key_changed" = RingKeyChanged { ring_key, step, by };
        "ring_key_failed" = RingKeyFailed { ring_key, reason };
        "update_changed" = UpdateChanged { service, step, build, from: "build_before", reason };
        "leaving" = Leaving;
        .. = Election { what: ElectionEvent, election: "service_group", term };
    }
}

described! {
    ElectionEvent {
        "election_started" = Started;
        "vote_cast" = Voted { candidate };
        "leader_elected" = Won { votes, voters };
        "lead_resumed" = Resumed;
        "leader_learned" = Learned { leader };
        "lease_lost" = Lost { why };
        "handed_over" = HandedOver { to: "successor" };
        "electorate_changed" = ElectorateChanged { version, voters };
    }
}

described! {
    Why {
        "restored" = Restored;
        "contact" = Contact;
        "rumor" = Rumor { from };
        "probe_failed" = ProbeFailed;
        "suspicion_expired" = SuspicionExpired { accusers };
        "gone_too_long" = GoneTooLong;
        "own" = Own;
        "operator" = Operator;
    }
}

/// Beside the subject of what is not understood: the number of its kind.
const NUMBER: &str = "number";

/// A rumor's key, with one field for each part that it has.
impl RumorKey {
    /// The names of all kinds of key, which are those of the rumors.
    pub const NAMES: &'static [&'static str] = &RumorKind::NAMES;

    /// The names of all parts.
    pub const FIELDS: &'static [&'static str] = &[
        Part::Group.name(),
        Part::Member.name(),
        Part::File.name(),
        Part::Purpose.name(),
        Part::Unknown.name(),
        NUMBER,
    ];

    /// The name of the kind.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Shows every part.
    pub fn visit(&self, visitor: &mut dyn FieldVisitor) {
        let KeyParts { group, member, file, purpose, ring_key, unknown } = self.parts();
        if let Some(group) = group {
            group.visit(Part::Group.name(), visitor);
        }
        if let Some(member) = member {
            member.visit(Part::Member.name(), visitor);
        }
        if let Some(file) = file {
            file.visit(Part::File.name(), visitor);
        }
        if let Some(purpose) = purpose {
            visit_purpose(purpose, visitor);
        }
        if let Some(key) = ring_key {
            key.visit(Part::RingKey.name(), visitor);
        }
        if let Some((subject, number)) = unknown {
            subject.visit(Part::Unknown.name(), visitor);
            number.visit(NUMBER, visitor);
        }
    }

    /// Makes the key of its kind's name and its parts again; fields of other names are passed over.
    ///
    /// # Errors
    /// There is no such kind, or a part of it is missing or holds a value that is not allowed.
    pub fn read(name: &str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        let kind = RumorKind::by_name(name).ok_or(FieldError::Kind)?;
        let group: Option<ServiceGroup> = read_part(kind, Part::Group, reader)?;
        let member: Option<MemberId> = read_part(kind, Part::Member, reader)?;
        let file: Option<FileName> = read_part(kind, Part::File, reader)?;
        let purpose = if kind.has_part(Part::Purpose) { Some(read_purpose(reader)?) } else { None };
        let ring_key: Option<RingKeyId> = read_part(kind, Part::RingKey, reader)?;
        let subject: Option<u64> = read_part(kind, Part::Unknown, reader)?;
        let unknown =
            subject.map(|subject| u32::read(NUMBER, reader).map(|number| (subject, number))).transpose()?;
        let (group, member, file) = (group.as_ref(), member.as_ref(), file.as_ref());
        let parts = KeyParts { group, member, file, purpose, ring_key, unknown };
        Self::from_parts(kind, parts).ok_or(FieldError::Kind)
    }
}

/// A part of a key; none where keys of the kind have no such part.
fn read_part<T: Field>(
    kind: RumorKind,
    part: Part,
    reader: &impl FieldReader,
) -> Result<Option<T>, FieldError> {
    if kind.has_part(part) { T::read(part.name(), reader).map(Some) } else { Ok(None) }
}

/// A key is its kind, under the field's name, and its parts beside it.
impl Field for RumorKey {
    fn visit(&self, name: &'static str, visitor: &mut dyn FieldVisitor) {
        visitor.field(name, FieldValue::Text(self.name()));
        self.visit(visitor);
    }

    fn read(name: &'static str, reader: &impl FieldReader) -> Result<Self, FieldError> {
        let kind = reader.text(name).ok_or(FieldError::Field(name))?;
        Self::read(kind, reader).map_err(|error| match error {
            FieldError::Kind => FieldError::Field(name),
            FieldError::Field(_) => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::{String, ToString as _};
    use alloc::vec::Vec;

    use super::super::field::FieldValue;
    use super::*;
    use crate::model::election::{ElectionId, ElectionPurpose};

    /// Keeps fields as texts; an absent value is an empty text.
    #[derive(Clone, Default)]
    struct Texts(BTreeMap<String, String>);

    impl FieldVisitor for Texts {
        fn field(&mut self, name: &'static str, value: FieldValue<'_>) {
            let text = match value {
                FieldValue::None => String::new(),
                FieldValue::Flag(flag) => flag.to_string(),
                FieldValue::Number(number) => number.to_string(),
                FieldValue::Text(text) => text.to_string(),
                FieldValue::Member(id) => id.to_string(),
                FieldValue::Group(group) => group.to_string(),
                FieldValue::Service(service) => service.to_string(),
                FieldValue::Address(address) => address.to_string(),
                FieldValue::Within(within) => within.kind().to_string(),
            };
            assert!(self.0.insert(name.to_string(), text).is_none(), "two fields are called {name}");
        }
    }

    impl FieldReader for Texts {
        fn is_none(&self, name: &str) -> bool {
            self.0.get(name).is_some_and(String::is_empty)
        }
        fn flag(&self, name: &str) -> Option<bool> {
            self.text(name)?.parse().ok()
        }
        fn number(&self, name: &str) -> Option<u64> {
            self.text(name)?.parse().ok()
        }
        fn text(&self, name: &str) -> Option<&str> {
            self.0.get(name).map(String::as_str)
        }
        fn within(&self, name: &str) -> Option<Self> {
            let kind = self.text(name)?.to_string();
            Some(Self(BTreeMap::from([("kind".to_string(), kind)])))
        }
    }

    #[test]
    fn names_are_words_of_their_own() {
        let kinds = || EventKind::NAMES.iter().chain(ElectionEvent::NAMES);
        let fields = EventKind::FIELDS.iter().chain(ElectionEvent::FIELDS).chain(RumorKey::FIELDS);
        for name in kinds().chain(Why::NAMES).chain(fields.clone()) {
            assert!(!name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{name}");
        }
        let mut distinct: Vec<&str> = kinds().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), kinds().count());
        // The fields that every log, gateway and trace writes beside those of an event.
        for taken in ["id", "cause", "kind", "text", "t", "what", "host", "at_unix_ms"] {
            assert!(fields.clone().all(|name| *name != taken), "{taken}");
        }
    }

    #[test]
    fn a_key_is_called_as_its_kind_of_rumor() {
        let kinds: Vec<&str> = RumorKind::ALL.iter().map(|kind| kind.name()).collect();
        for name in RumorKey::NAMES {
            assert!(kinds.contains(name), "{name}");
        }
        let key = RumorKey::Departure(MemberId::from_bytes([1; 16]));
        assert_eq!(key.name(), key.kind().name());
        assert_eq!(RumorKey::NAMES.len(), kinds.len());
    }

    #[test]
    fn a_field_that_is_missing_or_wrong_is_named() {
        let (with, winner) = (MemberId::from_bytes([1; 16]), Some(MemberId::from_bytes([2; 16])));
        let kind = EventKind::VersionLost { key: RumorKey::Departure(with), version: 7, winner };
        let mut whole = Texts::default();
        kind.visit(&mut whole);
        assert_eq!(EventKind::read("version_lost", &whole), Ok(kind));
        for field in ["rumor", "member", "version", "winner"] {
            let mut broken = whole.clone();
            broken.0.remove(field);
            assert_eq!(EventKind::read("version_lost", &broken), Err(FieldError::Field(field)));
            broken.0.insert(field.to_string(), "?".to_string());
            assert_eq!(EventKind::read("version_lost", &broken), Err(FieldError::Field(field)));
        }
        assert_eq!(EventKind::read("version-lost", &whole), Err(FieldError::Kind));
        whole.0.insert("score".to_string(), u64::MAX.to_string());
        assert_eq!(
            EventKind::read("local_health", &whole),
            Err(FieldError::Field("score")),
            "beyond 32 bits"
        );
    }

    #[test]
    fn an_election_is_called_by_its_group_and_where_it_is_not_the_leaders_by_its_purpose() {
        let what = ElectionEvent::Won { votes: 2, voters: 3 };
        for (purpose, word) in ElectionPurpose::ALL.into_iter().zip([None, Some("update")]) {
            let election = ElectionId { group: "redis.prod".parse().expect("a valid group"), purpose };
            let kind = EventKind::Election { election, term: 4, what };
            let mut fields = Texts::default();
            kind.visit(&mut fields);
            assert_eq!(fields.0.get("service_group").map(String::as_str), Some("redis.prod"));
            assert_eq!(fields.0.get("purpose").map(String::as_str), word);
            assert_eq!(EventKind::read("leader_elected", &fields), Ok(kind.clone()));
            fields.0.insert("purpose".to_string(), "?".to_string());
            assert_eq!(EventKind::read("leader_elected", &fields), Err(FieldError::Field("purpose")));
        }
    }
}
