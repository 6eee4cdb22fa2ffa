//! Elections' datagrams: typed on this side, protobuf on the other.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::proto;
use crate::model::ballot::{Body, Electorate, Message, Step, Verdict, Voter};
use crate::model::error::DecodeError;
use crate::model::id::MemberId;
use crate::model::limits::ELECTORATE_MAX;
use crate::wire::convert::{ids_from_wire, ids_to_wire};

/// Values of `Ballot::step`.
mod step {
    pub(super) const ASK: i32 = 1;
    pub(super) const VOTE: i32 = 2;
    pub(super) const RENEW: i32 = 3;
    pub(super) const ANSWER: i32 = 4;
    pub(super) const RELEASE: i32 = 5;
}

/// Values of `Ballot::verdict`.
mod verdict {
    pub(super) const YES: i32 = 1;
    pub(super) const WAIT: i32 = 2;
    pub(super) const BETTER: i32 = 3;
    pub(super) const STALE: i32 = 4;
    pub(super) const OUTDATED: i32 = 5;
    pub(super) const MISSING: i32 = 6;
}

fn put_electorate(ballot: &mut proto::Ballot, electorate: &Electorate) {
    ballot.electorate_term = electorate.term;
    ballot.electorate_version = electorate.version;
    ballot.members = ids_to_wire(&electorate.members);
}

fn one_id(id: Option<&MemberId>) -> Vec<u8> {
    id.map(|id| id.as_bytes().to_vec()).unwrap_or_default()
}

pub(super) fn to_wire(from: proto::Member, message: &Message) -> proto::Ballot {
    let mut ballot = proto::Ballot {
        from: Some(from),
        group: message.group.to_string(),
        term: message.term,
        round: message.round,
        ..proto::Ballot::default()
    };
    match &message.body {
        Body::Ask { suitability, electorate } => {
            ballot.step = step::ASK;
            ballot.suitability = *suitability;
            put_electorate(&mut ballot, electorate);
        }
        Body::Vote { lease_ms, electorate } => {
            ballot.step = step::VOTE;
            ballot.lease_ms = *lease_ms;
            put_electorate(&mut ballot, electorate);
        }
        Body::Renew { lease_ms, electorate } => {
            ballot.step = step::RENEW;
            ballot.lease_ms = *lease_ms;
            put_electorate(&mut ballot, electorate);
        }
        Body::Answer { to, verdict, voter } => {
            ballot.step = step::ANSWER;
            ballot.to = match to {
                Step::Ask => step::ASK,
                Step::Vote => step::VOTE,
                Step::Renew => step::RENEW,
            };
            ballot.suitability = voter.suitability;
            ballot.is_member = voter.is_member;
            ballot.fit = voter.fit;
            (ballot.known_term, ballot.known_version) = voter.electorate;
            verdict_to_wire(&mut ballot, verdict);
        }
        Body::Release { successor } => {
            ballot.step = step::RELEASE;
            ballot.other = one_id(successor.as_ref());
        }
    }
    ballot
}

fn verdict_to_wire(ballot: &mut proto::Ballot, told: &Verdict) {
    match told {
        Verdict::Yes => ballot.verdict = verdict::YES,
        Verdict::Wait { left_ms } => {
            ballot.verdict = verdict::WAIT;
            ballot.left_ms = *left_ms;
        }
        Verdict::Better { candidate } => {
            ballot.verdict = verdict::BETTER;
            ballot.other = one_id(Some(candidate));
        }
        Verdict::Stale => ballot.verdict = verdict::STALE,
        Verdict::Outdated { electorate } => {
            ballot.verdict = verdict::OUTDATED;
            put_electorate(ballot, electorate);
        }
        Verdict::Missing { members } => {
            ballot.verdict = verdict::MISSING;
            ballot.members = ids_to_wire(members);
        }
    }
}

fn electorate_from_wire(ballot: &proto::Ballot) -> Result<Electorate, DecodeError> {
    let members = ids_from_wire(&ballot.members, ELECTORATE_MAX, "electorate")?;
    let mut electorate = Electorate::proposal(members);
    electorate.term = ballot.electorate_term;
    electorate.version = ballot.electorate_version;
    Ok(electorate)
}

fn other_from_wire(ballot: &proto::Ballot) -> Result<Option<MemberId>, DecodeError> {
    Ok(ids_from_wire(&ballot.other, 1, "member")?.first().copied())
}

pub(super) fn from_wire(ballot: &proto::Ballot) -> Result<Message, DecodeError> {
    let body = match ballot.step {
        step::ASK => Body::Ask { suitability: ballot.suitability, electorate: electorate_from_wire(ballot)? },
        step::VOTE => Body::Vote { lease_ms: ballot.lease_ms, electorate: electorate_from_wire(ballot)? },
        step::RENEW => Body::Renew { lease_ms: ballot.lease_ms, electorate: electorate_from_wire(ballot)? },
        step::ANSWER => Body::Answer {
            to: match ballot.to {
                step::ASK => Step::Ask,
                step::VOTE => Step::Vote,
                step::RENEW => Step::Renew,
                _ => return Err(DecodeError::Invalid("ballot step")),
            },
            verdict: verdict_from_wire(ballot)?,
            voter: Voter {
                is_member: ballot.is_member,
                fit: ballot.fit,
                suitability: ballot.suitability,
                electorate: (ballot.known_term, ballot.known_version),
            },
        },
        step::RELEASE => Body::Release { successor: other_from_wire(ballot)? },
        _ => return Err(DecodeError::Invalid("ballot step")),
    };
    let group = ballot.group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
    Ok(Message { group, term: ballot.term, round: ballot.round, body })
}

fn verdict_from_wire(ballot: &proto::Ballot) -> Result<Verdict, DecodeError> {
    Ok(match ballot.verdict {
        verdict::YES => Verdict::Yes,
        verdict::WAIT => Verdict::Wait { left_ms: ballot.left_ms },
        verdict::BETTER => {
            let candidate = other_from_wire(ballot)?.ok_or(DecodeError::Missing("candidate"))?;
            Verdict::Better { candidate }
        }
        verdict::STALE => Verdict::Stale,
        verdict::OUTDATED => Verdict::Outdated { electorate: electorate_from_wire(ballot)? },
        verdict::MISSING => {
            Verdict::Missing { members: ids_from_wire(&ballot.members, ELECTORATE_MAX, "members")? }
        }
        _ => return Err(DecodeError::Invalid("verdict")),
    })
}
