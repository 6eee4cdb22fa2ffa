//! Rumors as messages: one file for each kind, and the matches over them. How rumors join stands in `model::rumor`.

mod departure;
mod election;
mod member;
mod member_keys;
mod member_statement;
mod opaque;
mod ring_key;
mod service;
mod service_config;
mod service_file;
mod service_health;
#[cfg(test)]
mod tests;
mod version;

use departure::DepartureMessage;
use election::ElectionMessage;
use member_keys::MemberKeysMessage;
use member_statement::MemberStatementMessage;
use ring_key::RingKeyMessage;
use service::ServiceMessage;
use service_config::ServiceConfigMessage;
use service_file::ServiceFileMessage;
use service_health::ServiceHealthMessage;

pub(crate) use opaque::{said, version_hash};

use alloc::borrow::Cow;
use alloc::vec::Vec;
use prost::Message;
use prost::encoding::bytes;

use crate::model::election::ElectionPurpose;
use crate::model::error::DecodeError;
use crate::model::identity::{Sign, Vouch};
use crate::model::limits::RUMOR_BYTES_MAX;
use crate::model::mutant::mutated;
use crate::model::rumor::{
    Departure, ElectionRumor, MemberKeys, MemberRumor, MemberStatement, RingKey, Rumor, ServiceConfig,
    ServiceFile, ServiceHealth, ServiceRumor, Told,
};
use crate::model::statement::Statement;
use crate::wire::convert::id_to_wire;
use crate::wire::fields::{Fields, Value};
use crate::wire::member::Membership;

/// `Rumor`.
#[derive(Clone, PartialEq, Message)]
struct RumorMessage {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "3")]
    from_id: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    member: Option<Membership>,
    #[prost(message, optional, tag = "5")]
    service: Option<ServiceMessage>,
    #[prost(message, optional, tag = "6")]
    service_config: Option<ServiceConfigMessage>,
    #[prost(message, optional, tag = "7")]
    service_file: Option<ServiceFileMessage>,
    #[prost(message, optional, tag = "8")]
    election: Option<ElectionMessage>,
    #[prost(message, optional, tag = "9")]
    departure: Option<DepartureMessage>,
    #[prost(message, optional, tag = "100")]
    service_health: Option<ServiceHealthMessage>,
    #[prost(message, optional, tag = "101")]
    ring_key: Option<RingKeyMessage>,
    #[prost(message, optional, tag = "102")]
    member_keys: Option<MemberKeysMessage>,
    #[prost(message, optional, tag = "110")]
    statement: Option<MemberStatementMessage>,
}

/// Values of `RumorMessage::kind`.
mod number {
    pub(super) const MEMBER: i32 = 1;
    pub(super) const SERVICE: i32 = 2;
    pub(super) const SERVICE_CONFIG: i32 = 4;
    pub(super) const SERVICE_FILE: i32 = 5;
    pub(super) const ELECTION: i32 = 3;
    /// The same message, of the election of a member that carries out updates.
    pub(super) const ELECTION_UPDATE: i32 = 8;
    pub(super) const DEPARTURE: i32 = 9;
    pub(super) const SERVICE_HEALTH: i32 = 100;
    pub(super) const RING_KEY: i32 = 101;
    pub(super) const MEMBER_KEYS: i32 = 102;
    pub(super) const STATEMENT: i32 = 110;
    /// Those that this version understands; it keeps the others without.
    pub(super) const KNOWN: [i32; 11] = [
        MEMBER,
        SERVICE,
        SERVICE_CONFIG,
        SERVICE_FILE,
        ELECTION,
        ELECTION_UPDATE,
        DEPARTURE,
        SERVICE_HEALTH,
        RING_KEY,
        MEMBER_KEYS,
        STATEMENT,
    ];
}

impl Rumor {
    /// The rumor as bytes: the row's value in the durable state, and equal for equal rumors.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        if let Self::Opaque(opaque) = self {
            return opaque.bytes().to_vec();
        }
        self.to_wire().map(|rumor| rumor.encode_to_vec()).unwrap_or_default()
    }

    /// Reads [`Self::encode`] back. What this version does not understand is read as [`Rumor::Opaque`].
    ///
    /// # Errors
    /// Not a rumor, or one beyond the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > RUMOR_BYTES_MAX + 64 + VOUCH_LEN {
            return Err(DecodeError::TooLong { bytes: bytes.len(), limit: RUMOR_BYTES_MAX });
        }
        let kind = opaque::kind_of(bytes);
        if kind == 0 {
            return Err(DecodeError::Invalid("rumor type"));
        }
        if !number::KNOWN.iter().any(|known| known.cast_unsigned() == kind) {
            return opaque::of_later_kind(kind, bytes).map(Self::Opaque);
        }
        let rumor = RumorMessage::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
        Self::from_wire(rumor)
    }

    /// It as the member with this key would tell it in its own name, whether that is its to say or not. A node signs what
    /// it says itself; this is for what tests and simulators put into its mouth.
    #[must_use]
    pub fn encode_signed(&self, signer: &dyn Sign) -> Vec<u8> {
        let said = self.encode();
        let content = signer.hash(self.version().map_or(&said, |version| &version.body));
        let vouch = Statement::new(&self.key(), self.number(), content).vouch(signer);
        told_bytes(self, Some(&vouch))
    }

    /// None for what this version does not understand: that is told in the bytes that came.
    fn to_wire(&self) -> Option<RumorMessage> {
        let mut rumor = RumorMessage::default();
        match self {
            Self::Opaque(_) => return None,
            Self::Member(m) => {
                rumor.kind = number::MEMBER;
                rumor.member = Some(m.to_wire());
            }
            Self::Service(s) => {
                rumor.kind = number::SERVICE;
                rumor.from_id = id_to_wire(&s.member_id);
                rumor.service = Some(s.to_wire());
            }
            Self::Departure(d) => {
                rumor.kind = number::DEPARTURE;
                rumor.departure = Some(d.to_wire());
            }
            Self::ServiceHealth(h) => {
                rumor.kind = number::SERVICE_HEALTH;
                rumor.from_id = id_to_wire(&h.member_id);
                rumor.service_health = Some(h.to_wire());
            }
            Self::RingKey(k) => {
                rumor.kind = number::RING_KEY;
                rumor.from_id = k.by_to_wire();
                rumor.ring_key = Some(k.to_wire());
            }
            Self::MemberKeys(k) => {
                rumor.kind = number::MEMBER_KEYS;
                rumor.from_id = id_to_wire(&k.member_id);
                rumor.member_keys = Some(k.to_wire());
            }
            Self::Statement(s) => {
                rumor.kind = number::STATEMENT;
                rumor.statement = Some(s.to_wire());
            }
            Self::ServiceConfig(c) | Self::SealedConfig(c) => {
                rumor.kind = number::SERVICE_CONFIG;
                rumor.from_id = c.version.writer.as_ref().map(id_to_wire).unwrap_or_default();
                rumor.service_config = Some(c.to_wire(matches!(self, Self::SealedConfig(_))));
            }
            Self::ServiceFile(f) | Self::SealedFile(f) => {
                rumor.kind = number::SERVICE_FILE;
                rumor.from_id = f.version.writer.as_ref().map(id_to_wire).unwrap_or_default();
                rumor.service_file = Some(f.to_wire(matches!(self, Self::SealedFile(_))));
            }
            Self::Election(e) => {
                rumor.kind = match e.election.purpose {
                    ElectionPurpose::Leader => number::ELECTION,
                    ElectionPurpose::Update => number::ELECTION_UPDATE,
                };
                rumor.from_id = id_to_wire(&e.leader);
                rumor.election = Some(e.to_wire());
            }
        }
        Some(rumor)
    }

    fn from_wire(rumor: RumorMessage) -> Result<Self, DecodeError> {
        Ok(match rumor.kind {
            number::MEMBER => Self::Member(MemberRumor::from_wire(rumor.member.as_ref())?),
            number::SERVICE => Self::Service(ServiceRumor::from_wire(rumor.service)?),
            number::DEPARTURE => Self::Departure(Departure::from_wire(rumor.departure.as_ref())?),
            number::SERVICE_HEALTH => {
                Self::ServiceHealth(ServiceHealth::from_wire(rumor.service_health.as_ref())?)
            }
            number::RING_KEY => Self::RingKey(RingKey::from_wire(&rumor.from_id, rumor.ring_key)?),
            number::MEMBER_KEYS => Self::MemberKeys(MemberKeys::from_wire(rumor.member_keys)?),
            number::STATEMENT => Self::Statement(MemberStatement::from_wire(rumor.statement.as_ref())?),
            number::SERVICE_CONFIG => {
                let is_sealed = rumor.service_config.as_ref().is_some_and(ServiceConfigMessage::is_sealed);
                let config = ServiceConfig::from_wire(rumor.service_config)?;
                match mutated!(SealedTakenAsPlain, is_sealed, false) {
                    true => Self::SealedConfig(config),
                    false => Self::ServiceConfig(config),
                }
            }
            number::SERVICE_FILE => {
                let is_sealed = rumor.service_file.as_ref().is_some_and(ServiceFileMessage::is_sealed);
                let file = ServiceFile::from_wire(rumor.service_file)?;
                if is_sealed { Self::SealedFile(file) } else { Self::ServiceFile(file) }
            }
            number::ELECTION | number::ELECTION_UPDATE => {
                let is_update = rumor.kind == number::ELECTION_UPDATE;
                let purpose = if is_update { ElectionPurpose::Update } else { ElectionPurpose::Leader };
                Self::Election(ElectionRumor::from_wire(purpose, &rumor.from_id, rumor.election.as_ref())?)
            }
            _ => return Err(DecodeError::Invalid("rumor type")),
        })
    }
}

/// The author's word for a rumor: key and signature. The first of the fields that vouch.
const VOUCH: u32 = 200;

impl<'a> Told<'a> {
    /// Reads a rumor that a message or the disk holds, and keeps hold of its bytes.
    ///
    /// What is understood is kept as its author said it, with the word for it last and nothing else that vouches: what no
    /// member signed could be made to differ without end, and each difference would be told on.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let rumor = Rumor::decode(bytes)?;
        if matches!(rumor, Rumor::Opaque(_) | Rumor::Member(_)) {
            return Ok(Self::read(rumor, None, Cow::Borrowed(bytes)));
        }
        let vouch = vouch_of(bytes);
        let said = said(bytes);
        let word_len = vouch.map_or(0, |_| VOUCH_LEN);
        if said.len() + word_len == bytes.len() && bytes.starts_with(&said) {
            return Ok(Self::read(rumor, vouch, Cow::Borrowed(bytes)));
        }
        let mut kept = said.into_owned();
        put_vouch(vouch.as_ref(), &mut kept);
        assert!(kept.len() <= bytes.len(), "nothing is added to what an author said");
        Ok(Self::read(rumor, vouch, Cow::Owned(kept)))
    }

    /// What its author says, which is what the word for it is about.
    pub(crate) fn said(&self) -> Cow<'_, [u8]> {
        match self.bytes() {
            Some(bytes) => said(bytes),
            None => Cow::Owned(self.rumor().encode()),
        }
    }

    /// It as this version tells it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self.bytes() {
            Some(bytes) => bytes.to_vec(),
            None => told_bytes(self.rumor(), self.vouch()),
        }
    }
}

/// The word that vouches for a message: the first that has the length of one.
pub(crate) fn vouch_of(message: &[u8]) -> Option<Vouch> {
    Fields::of(message).flatten().find_map(|field| match (field.tag, field.value) {
        (VOUCH, Value::Bytes(word)) => Vouch::from_bytes(word),
        _ => None,
    })
}

/// How much longer a rumor is with its author's word: the word, its field's number and its length.
pub(crate) const VOUCH_LEN: usize = Vouch::BYTES + 3;

/// A rumor as this version encodes it, with the word for it.
pub(crate) fn told_bytes(rumor: &Rumor, vouch: Option<&Vouch>) -> Vec<u8> {
    let mut told = rumor.encode();
    put_vouch(vouch, &mut told);
    told
}

fn put_vouch(vouch: Option<&Vouch>, told: &mut Vec<u8>) {
    let before = told.len();
    if let Some(vouch) = vouch {
        bytes::encode(VOUCH, &vouch.to_bytes().to_vec(), told);
    }
    assert!(told.len() == before + vouch.map_or(0, |_| VOUCH_LEN), "a word has one length");
}
