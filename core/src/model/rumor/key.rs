//! The parts of rumor keys, as they stand on disk, in traces and in sentences. A key's bytes on disk may never change.

use alloc::vec::Vec;
use core::fmt;

use crate::model::digest;
use crate::model::election::ElectionPurpose;
use crate::model::id::{FileName, MemberId, ServiceGroup};
use crate::model::ring_key::RingKeyId;
use crate::model::rumor::{RumorKey, RumorKind};

/// The kinds of parts that a key can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A service group.
    Group,
    /// A member.
    Member,
    /// A file of a group.
    File,
    /// The purpose of an election of a group.
    Purpose,
    /// A key of the ring.
    RingKey,
    /// What only a later version understands.
    Unknown,
}

impl Part {
    /// The field's name, wherever keys are shown field by field.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Group => "service_group",
            Self::Member => "member",
            Self::File => "filename",
            Self::Purpose => "purpose",
            Self::RingKey => "ring_key",
            Self::Unknown => "subject",
        }
    }
}

/// The parts of a key; with the kind they are the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyParts<'a> {
    /// The service group that it says something about.
    pub group: Option<&'a ServiceGroup>,
    /// The member that it says something about.
    pub member: Option<&'a MemberId>,
    /// The file of the group.
    pub file: Option<&'a FileName>,
    /// The purpose of the election of the group.
    pub purpose: Option<ElectionPurpose>,
    /// The key of the ring.
    pub ring_key: Option<RingKeyId>,
    /// Of a kind that is not understood: a hash of what it is about, and the kind's number.
    pub unknown: Option<(u64, u32)>,
}

impl KeyParts<'_> {
    /// A key without any part.
    pub(super) const NONE: Self =
        Self { group: None, member: None, file: None, purpose: None, ring_key: None, unknown: None };
}

impl RumorKind {
    /// The names of all kinds.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut i = 0;
        while i < names.len() {
            names[i] = Self::ALL[i].name();
            i += 1;
        }
        names
    };

    /// Whether keys of this kind have such a part.
    pub(crate) fn has_part(self, part: Part) -> bool {
        self.properties().key.contains(&part)
    }

    /// The kind of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of an encoded key.
    pub(crate) fn of_encoded(key: &[u8]) -> Option<Self> {
        let name = key.split(|byte| *byte == 0).next()?;
        Self::by_name(core::str::from_utf8(name).ok()?)
    }

    /// The sentence for people about a new rumor of this kind, whose subject is its member, else its group.
    #[must_use]
    pub const fn news(self) -> &'static str {
        self.properties().news
    }
}

impl RumorKey {
    /// The least key of this kind about this group; none when the kind is not about groups.
    pub(crate) fn first_of(kind: RumorKind, group: &ServiceGroup) -> Option<Self> {
        let (member, file) = (MemberId::from_bytes([0; 16]), FileName::least());
        let parts = KeyParts {
            group: Some(group),
            member: kind.has_part(Part::Member).then_some(&member),
            file: kind.has_part(Part::File).then_some(&file),
            purpose: kind.has_part(Part::Purpose).then_some(ElectionPurpose::Leader),
            ring_key: None,
            unknown: None,
        };
        Self::from_parts(kind, parts)
    }

    /// The service group that it says something about, where it does.
    #[must_use]
    pub const fn group(&self) -> Option<&ServiceGroup> {
        self.parts().group
    }

    /// The owner, without whom the rumor is worth nothing, where it has one.
    #[must_use]
    pub const fn owner(&self) -> Option<&MemberId> {
        if self.kind().properties().is_owned { self.parts().member } else { None }
    }

    /// The key as bytes, for the durable state; distinct for distinct keys.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let KeyParts { group, member, file, purpose, ring_key, unknown } = self.parts();
        // A key without a purpose means the leader's election.
        let purpose = purpose.filter(|purpose| *purpose != ElectionPurpose::Leader);
        let texts =
            [group.map(ServiceGroup::as_str), file.map(FileName::as_str), purpose.map(ElectionPurpose::name)];
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(self.kind().name().as_bytes());
        for text in texts.into_iter().flatten() {
            bytes.push(0);
            bytes.extend_from_slice(text.as_bytes());
        }
        if let Some(member) = member {
            bytes.push(0);
            bytes.extend_from_slice(member.as_bytes());
        }
        if let Some(key) = ring_key {
            bytes.push(0);
            bytes.extend_from_slice(&key.revision.to_be_bytes());
            bytes.extend_from_slice(&key.fingerprint);
        }
        if let Some((subject, number)) = unknown {
            bytes.push(0);
            bytes.extend_from_slice(&subject.to_le_bytes());
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads back the key of an opaque rumor from [`Self::encode`]; none for other kinds' keys.
    pub(crate) fn decode_opaque(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(RumorKind::Opaque.name().as_bytes())?.strip_prefix(&[0])?;
        let (subject, number) = rest.split_first_chunk::<8>()?;
        let number = u32::from_le_bytes(number.try_into().ok()?);
        Some(Self::Opaque { subject: u64::from_le_bytes(*subject), number })
    }

    pub(crate) fn hash(&self) -> u64 {
        if let Self::Member(id) = self {
            return digest::hash_member(id);
        }
        // Members that understand the kind hash the same.
        if let Self::Opaque { subject, .. } = self { *subject } else { digest::hash_bytes(&self.encode()) }
    }
}

/// As in "file users.acl of redis.prod"; a member is shown by the first eight digits of its id.
impl fmt::Display for RumorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyParts { group, member, file, purpose, ring_key, unknown } = self.parts();
        f.write_str(self.kind().properties().noun)?;
        match purpose {
            Some(ElectionPurpose::Update) => f.write_str(" of the update")?,
            Some(ElectionPurpose::Leader) | None => {}
        }
        if let Some(file) = file {
            write!(f, " {file}")?;
        }
        if let Some(key) = ring_key {
            write!(f, " {:014}", key.revision)?;
        }
        if let Some(group) = group {
            write!(f, " of {group}")?;
        }
        if let Some(member) = member {
            let hex = member.to_hex();
            let short = hex.get(..8).and_then(|digits| core::str::from_utf8(digits).ok()).unwrap_or_default();
            write!(f, " {} {short}", if group.is_some() { "at" } else { "of" })?;
        }
        if let Some((subject, number)) = unknown {
            write!(f, " {number} about {subject:016x}")?;
        }
        Ok(())
    }
}
