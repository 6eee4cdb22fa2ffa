//! Questions whether a member speaks now, and their answers, as datagrams and stream messages hold them.

use prost::Message as _;

use super::proto;
use crate::model::challenge::{Answer, Answered};
use crate::model::channel::Channel;
use crate::model::error::DecodeError;
use crate::model::id::MemberId;
use crate::model::identity::Vouch;
use crate::model::stamp::{Salt, Series, Standing};
use crate::wire::member::{IdText, Member};

/// The sender of a question: its id alone.
pub(crate) fn asker(id: &MemberId) -> Member {
    Member { id: IdText::new(&id.to_hex()), ..Member::default() }
}

pub(crate) fn question_to_wire(from: Option<Member>, challenge: u64) -> proto::Challenge {
    proto::Challenge { from, challenge }
}

pub(crate) fn question_from_wire(bytes: &[u8]) -> Result<u64, DecodeError> {
    proto::Challenge::decode(bytes).map(|question| question.challenge).map_err(|_| DecodeError::Protobuf)
}

pub(crate) fn answer_to_wire(from: Option<Member>, answered: &Answered) -> proto::Answer {
    let mut wire = proto::Answer {
        from,
        challenge: answered.answer.challenge,
        asks: answered.asks,
        vouch: answered.vouch.to_bytes().to_vec(),
        ..proto::Answer::default()
    };
    if let Some(Standing { series, datagrams, streams }) = answered.answer.standing {
        wire.boot = Some(series.boot);
        (wire.datagram_salt, wire.datagrams) = (u64::from_be_bytes(series.datagrams.0), datagrams);
        (wire.stream_salt, wire.streams) = (u64::from_be_bytes(series.streams.0), streams);
    }
    wire
}

pub(crate) fn answer_from_wire(bytes: &[u8]) -> Result<Answered, DecodeError> {
    let wire = proto::Answer::decode(bytes).map_err(|_| DecodeError::Protobuf)?;
    let vouch = Vouch::from_bytes(&wire.vouch).ok_or(DecodeError::Invalid("vouch"))?;
    let salt = |channel, bits: u64| {
        let salt = Salt(bits.to_be_bytes());
        if salt.channel() == channel { Ok(salt) } else { Err(DecodeError::Invalid("salt")) }
    };
    let standing = match wire.boot {
        None => None,
        Some(boot) => {
            let datagrams = salt(Channel::Datagram, wire.datagram_salt)?;
            let streams = salt(Channel::Stream, wire.stream_salt)?;
            let series = Series { boot, datagrams, streams };
            Some(Standing { series, datagrams: wire.datagrams, streams: wire.streams })
        }
    };
    let answer = Answer { challenge: wire.challenge, standing };
    Ok(Answered { answer, vouch, asks: wire.asks })
}
