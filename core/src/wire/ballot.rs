//! Encodes and decodes the datagrams of elections. It refuses ballots that cannot be read; the elections decide which
//! they believe.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::proto;
use crate::model::ballot::{Body, Electorate, Message, Step, Verdict, Voter};
use crate::model::election::{ElectionId, ElectionPurpose};
use crate::model::error::DecodeError;
use crate::model::id::MemberId;
use crate::model::limits::ELECTORATE_MAX;
use crate::model::mutant::mutated;
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
        term: message.term,
        round: message.round,
        ..proto::Ballot::default()
    };
    let group = message.election.group.to_string();
    match message.election.purpose {
        ElectionPurpose::Leader => ballot.group = group,
        ElectionPurpose::Update => ballot.group_to_update = group,
    }
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
    if electorate.is_believable() { Ok(electorate) } else { Err(DecodeError::Invalid("electorate")) }
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
                electorate: (
                    ballot.known_term,
                    mutated!(VoterVersionLost, ballot.known_version, ballot.known_term),
                ),
            },
        },
        step::RELEASE => Body::Release { successor: other_from_wire(ballot)? },
        _ => return Err(DecodeError::Invalid("ballot step")),
    };
    let (group, purpose) = match ballot.group_to_update.as_str() {
        "" => (&ballot.group, ElectionPurpose::Leader),
        _ if !ballot.group.is_empty() => return Err(DecodeError::Invalid("service_group")),
        _ => (&ballot.group_to_update, ElectionPurpose::Update),
    };
    let group = group.parse().map_err(|_| DecodeError::Invalid("service_group"))?;
    let election = ElectionId { group, purpose };
    Ok(Message { election, term: ballot.term, round: ballot.round, body })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::limits::{ELECTION_TERM_MAX, ELECTORATE_VERSION_MAX};
    use alloc::string::String;
    use proptest::prelude::*;
    use prost::Message as _;

    fn ids() -> impl Strategy<Value = Vec<MemberId>> {
        let ids = proptest::collection::btree_set(any::<[u8; 16]>(), 0..=ELECTORATE_MAX);
        ids.prop_map(|ids| ids.into_iter().map(MemberId::from_bytes).collect())
    }

    fn electorate() -> impl Strategy<Value = Electorate> {
        (0..=ELECTION_TERM_MAX, 0..=ELECTORATE_VERSION_MAX, ids())
            .prop_map(|(term, version, members)| Electorate { term, version, members })
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Yes),
            any::<u64>().prop_map(|left_ms| Verdict::Wait { left_ms }),
            any::<[u8; 16]>().prop_map(|id| Verdict::Better { candidate: MemberId::from_bytes(id) }),
            Just(Verdict::Stale),
            electorate().prop_map(|electorate| Verdict::Outdated { electorate }),
            ids().prop_map(|members| Verdict::Missing { members }),
        ]
    }

    fn body() -> impl Strategy<Value = Body> {
        let step = proptest::sample::select(&[Step::Ask, Step::Vote, Step::Renew]);
        let voter = any::<(bool, bool, u64, u64, u64)>().prop_map(|(is_member, fit, suitability, t, v)| {
            Voter { is_member, fit, suitability, electorate: (t, v) }
        });
        prop_oneof![
            (any::<u64>(), electorate())
                .prop_map(|(suitability, electorate)| Body::Ask { suitability, electorate }),
            (any::<u64>(), electorate())
                .prop_map(|(lease_ms, electorate)| Body::Vote { lease_ms, electorate }),
            (any::<u64>(), electorate())
                .prop_map(|(lease_ms, electorate)| Body::Renew { lease_ms, electorate }),
            (step, verdict(), voter).prop_map(|(to, verdict, voter)| Body::Answer { to, verdict, voter }),
            proptest::option::of(any::<[u8; 16]>())
                .prop_map(|id| Body::Release { successor: id.map(MemberId::from_bytes) }),
        ]
    }

    fn message(purpose: ElectionPurpose, term: u64, body: Body) -> Message {
        let group = "redis.prod@acme".parse().expect("a valid group");
        Message { election: ElectionId { group, purpose }, term, round: term / 2, body }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            purpose in proptest::sample::select(&ElectionPurpose::ALL), term: u64, body in body(),
        ) {
            let message = message(purpose, term, body);
            let bytes = to_wire(proto::Member::default(), &message).encode_to_vec();
            let ballot = proto::Ballot::decode(bytes.as_slice()).expect("its own encoding");
            prop_assert_eq!(from_wire(&ballot), Ok(message));
        }
    }

    #[test]
    fn a_ballot_of_another_purpose_is_never_taken_for_one_of_the_leaders_election() {
        let release = || Body::Release { successor: None };
        let leader = to_wire(proto::Member::default(), &message(ElectionPurpose::Leader, 3, release()));
        let update = to_wire(proto::Member::default(), &message(ElectionPurpose::Update, 3, release()));
        assert_eq!((leader.group.as_str(), leader.group_to_update.as_str()), ("redis.prod@acme", ""));
        // A member of a version before purposes passes over the field that it does not know.
        let as_read_before = proto::Ballot { group_to_update: String::new(), ..update.clone() };
        assert_eq!(from_wire(&as_read_before), Err(DecodeError::Invalid("service_group")));
        let both = proto::Ballot { group: leader.group, ..update };
        assert_eq!(from_wire(&both), Err(DecodeError::Invalid("service_group")));
    }
}
