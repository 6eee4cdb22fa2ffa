//! `annulus-sim explain`: why one member held another dead, suspect or alive again, why a group is led by this member or
//! by none, why a service's process was started anew, why a version did not arrive: as a chain of causes from the outcome
//! down to the packets that were lost and the fault that lost them.
//!
//! [`Trace::load`] reads a trace back, [`explain`] follows the links in it, and [`Story`] holds the result.

mod chain;
mod config;
mod fate;
mod group;
mod load;
mod look;
mod probe;
mod refutation;
mod service;
mod tale;
mod tell;

use thiserror::Error;

pub use load::{LoadError, Trace};
pub use tell::{Step, Story};

use annulus_core::{EventKind, MemberId, State};

use load::Nanos;

/// A question to a trace.
#[derive(Clone, Debug)]
pub struct Question {
    /// The outcome that is to be explained.
    pub about: About,
    /// When, in nanoseconds; by default at the end.
    pub at: Option<u64>,
}

/// The outcome that a question is about.
#[derive(Clone, Debug)]
pub enum About {
    /// Why a member is held so.
    Member {
        /// The member that was judged: a host's name, or how a member's id begins.
        member: String,
        /// The member that judged; by default the first that came to the worst judgement.
        seen_by: Option<String>,
    },
    /// Why a group is led by this member, or by none.
    Group(String),
    /// Why a service's process on a member's host is there, is a new one, or is not there.
    Service {
        /// The service.
        service: String,
        /// The member that runs it.
        member: String,
    },
    /// Why the latest version of a group's configuration is everywhere, or is not.
    Config(String),
}

/// Why a question has no answer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExplainError {
    /// No member has this name or id.
    #[error("the trace knows no member {asked:?}; it knows {known}")]
    Unknown {
        /// The words of the question.
        asked: String,
        /// All members of the trace.
        known: String,
    },
    /// Several ids begin like this.
    #[error("{asked:?} fits several members: {fitting}; give more of the id")]
    Ambiguous {
        /// The words of the question.
        asked: String,
        /// The members whose id begins so.
        fitting: String,
    },
    /// No election of such a group is in the trace.
    #[error("the trace has no election of the group {asked:?}; groups with a leader: {known}")]
    NoGroup {
        /// The words of the question.
        asked: String,
        /// All groups of the trace that elect a leader.
        known: String,
    },
    /// No such service was loaded there.
    #[error("no service {asked:?} was loaded on {host}; services there: {known}")]
    NoService {
        /// The words of the question.
        asked: String,
        /// The host.
        host: String,
        /// All services of that host.
        known: String,
    },
    /// No version of such a configuration is in the trace.
    #[error("the trace has no configuration of the group {asked:?}; groups with one: {known}")]
    NoConfig {
        /// The words of the question.
        asked: String,
        /// All groups that were given a configuration.
        known: String,
    },
    /// Nothing is known of a time after the trace's end.
    #[error("the trace ends at {end}, before {asked}; ask about a time until then with --at")]
    BeyondEnd {
        /// The time of the question.
        asked: String,
        /// The trace's end.
        end: String,
    },
    /// No other member ever judged it.
    #[error("{by} held {member} to be anything until {until}; ask about another time with --at")]
    NoOpinion {
        /// The member that did not judge.
        by: String,
        /// The member that was not judged.
        member: String,
        /// The time of the question.
        until: String,
    },
}

/// Answers a question from a trace.
///
/// # Errors
/// The trace knows no member, group or service of that name, or nothing is to be explained by that time.
pub fn explain(trace: &Trace, question: &Question) -> Result<Story, ExplainError> {
    let until = question.at.unwrap_or(trace.end);
    // The last line comes a little before the scenario's end, which a reader knows in whole seconds.
    if until > trace.end.next_multiple_of(1_000_000_000) {
        return Err(ExplainError::BeyondEnd { asked: fate::time(until), end: fate::time(trace.end) });
    }
    match &question.about {
        About::Member { member, seen_by } => judged(trace, member, seen_by.as_deref(), question.at),
        About::Group(group) => group::tell(trace, group, until),
        About::Service { service, member } => service::tell(trace, service, &trace.host(member)?, until),
        About::Config(group) => config::tell(trace, group, until),
    }
}

/// Why a member is held so.
fn judged(
    trace: &Trace,
    member: &str,
    seen_by: Option<&str>,
    at: Option<Nanos>,
) -> Result<Story, ExplainError> {
    let until = at.unwrap_or(trace.end);
    let member = trace.member(member, until)?;
    let by = match seen_by {
        Some(by) => Some(trace.host(by)?),
        None => trace.worst_judge(&member, until),
    };
    let no_opinion = |by: Option<&str>| ExplainError::NoOpinion {
        by: by.map_or_else(|| String::from("no member ever"), |by| format!("{by} never")),
        member: trace.called(&member),
        until: fate::time(until),
    };
    let Some(by) = by else { return Err(no_opinion(None)) };
    // Without a time the question is about the worst judgement, not the idyll that may have followed it.
    let verdict = trace.verdict(&by, &member, until, seen_by.is_none() && at.is_none());
    let Some(verdict) = verdict else { return Err(no_opinion(Some(&by))) };
    Ok(chain::tell(trace, member, verdict))
}

impl Trace {
    /// The member that a name or the beginning of an id means.
    fn member(&self, asked: &str, until: Nanos) -> Result<MemberId, ExplainError> {
        let named = |(_, host, _): &&(Nanos, String, MemberId)| host == asked;
        let ran = self.starts.iter().filter(named).rfind(|(t, _, _)| *t <= until);
        if let Some((_, _, member)) = ran.or_else(|| self.starts.iter().find(named)) {
            return Ok(*member);
        }
        let mut fitting: Vec<MemberId> = self.starts.iter().map(|(_, _, member)| *member).collect();
        fitting.sort_unstable();
        fitting.dedup();
        fitting.retain(|member| !asked.is_empty() && member.to_string().starts_with(asked));
        match fitting[..] {
            [one] => Ok(one),
            [] => Err(self.unknown(asked)),
            _ => {
                let fitting: Vec<String> = fitting.iter().map(MemberId::to_string).collect();
                Err(ExplainError::Ambiguous { asked: asked.to_owned(), fitting: fitting.join(", ") })
            }
        }
    }

    /// The host that a name or the beginning of an id means.
    fn host(&self, asked: &str) -> Result<String, ExplainError> {
        let member = self.member(asked, self.end)?;
        self.host_of(&member).map(str::to_owned).ok_or_else(|| self.unknown(asked))
    }

    fn unknown(&self, asked: &str) -> ExplainError {
        let mut known: Vec<&str> = self.starts.iter().map(|(_, host, _)| host.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        ExplainError::Unknown { asked: asked.to_owned(), known: known.join(", ") }
    }

    /// Where a member ran last.
    fn host_of(&self, member: &MemberId) -> Option<&str> {
        self.starts.iter().rev().find(|(_, _, m)| m == member).map(|(_, host, _)| host.as_str())
    }

    /// A member's host, and its id where that host had several members.
    fn called(&self, member: &MemberId) -> String {
        let short: String = member.to_string().chars().take(8).collect();
        let Some(host) = self.host_of(member) else { return short };
        let others = self.starts.iter().any(|(_, h, m)| h == host && m != member);
        if others { format!("{host} ({short})") } else { host.to_owned() }
    }

    /// Every change of mind about a member, in order.
    fn changes_of(&self, member: MemberId) -> impl DoubleEndedIterator<Item = &load::Event> {
        self.events
            .iter()
            .filter(move |e| matches!(&e.kind, EventKind::MemberChanged { member: m, .. } if *m == member))
    }

    /// The first host that came to the worst judgement of a member.
    fn worst_judge(&self, member: &MemberId, until: Nanos) -> Option<String> {
        let own = self.host_of(member);
        let badness = |event: &load::Event| match &event.kind {
            EventKind::MemberChanged { to, .. } => Some(*to),
            _ => None,
        };
        let others = self.changes_of(*member).filter(|e| e.t <= until && Some(e.host.as_str()) != own);
        let mut worst: Option<&load::Event> = None;
        for event in others {
            if worst.is_none_or(|w| badness(event) > badness(w)) {
                worst = Some(event);
            }
        }
        worst.map(|event| event.host.clone())
    }

    /// The judgement that a host had of a member at a time: the last change, or the worst one.
    fn verdict(&self, by: &str, member: &MemberId, until: Nanos, worst: bool) -> Option<&load::Event> {
        let mut own = self.changes_of(*member).filter(|e| e.host == by && e.t <= until);
        if !worst {
            return own.next_back();
        }
        let rank = |event: &load::Event| match &event.kind {
            EventKind::MemberChanged { to: State::Confirmed | State::Departed, .. } => 2,
            EventKind::MemberChanged { to: State::Suspect, .. } => 1,
            _ => 0,
        };
        own.max_by_key(|event| (rank(event), event.t))
    }
}
