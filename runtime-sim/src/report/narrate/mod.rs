//! Tells a run as a story, in sentences that a reader who learns how a ring works can follow.
//!
//! A sentence tells news, not each packet or each member: which member is the first to suspect, and when all know.

mod actions;
mod election;
mod event;
mod members;
mod versions;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use annulus_core::{ElectionId, ExitReason, Instant, MemberId, Reply, RumorKey, ServiceName, State};
use views::Views;

use crate::action::HostId;
use crate::action::world::{Record, What};
use crate::engine::host::{PORT, index_of};
use crate::engine::record::StopReason;
use crate::scenario::judge::{Decided, Verdict};

/// Digits of a member's id.
const ID_DIGITS: usize = 32;

/// The storyteller of one run.
#[derive(Debug)]
pub struct Narrator {
    names: Vec<String>,
    hosts: BTreeMap<MemberId, HostId>,
    members: BTreeMap<HostId, MemberId>,
    views: Views,
    /// States of members that rumors are spreading, and how far each has been told.
    spreading: BTreeMap<(MemberId, State), Spreading>,
    probes: BTreeMap<(HostId, MemberId), FailedProbe>,
    banned: BTreeSet<MemberId>,
    accusers_told: BTreeMap<MemberId, u32>,
    struggling: BTreeSet<HostId>,
    /// The leaders that have not stopped by their own word.
    leaders: BTreeMap<ElectionId, HostId>,
    /// Who holds which version of a group's configuration or file, and since when the first does.
    versions: BTreeMap<(RumorKey, u64), Holders>,
    /// What the files of each service say of the member's part.
    parts: BTreeMap<(HostId, ServiceName), String>,
    whole: bool,
    crowd_told: bool,
    lines: Vec<String>,
}

#[derive(Clone, Debug)]
struct Holders {
    first: Instant,
    by: BTreeSet<HostId>,
    all_told: bool,
}

#[derive(Clone, Debug)]
struct Spreading {
    first: Instant,
    all_told: bool,
}

#[derive(Clone, Copy, Debug)]
struct FailedProbe {
    refused: bool,
    asked_others: bool,
    nacks: u32,
}

impl Narrator {
    /// A storyteller for hosts of these names, in the order of their ids.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            hosts: BTreeMap::new(),
            members: BTreeMap::new(),
            views: Views::default(),
            spreading: BTreeMap::new(),
            probes: BTreeMap::new(),
            banned: BTreeSet::new(),
            accusers_told: BTreeMap::new(),
            struggling: BTreeSet::new(),
            leaders: BTreeMap::new(),
            versions: BTreeMap::new(),
            parts: BTreeMap::new(),
            whole: false,
            crowd_told: false,
            lines: Vec::new(),
        }
    }

    /// Takes note of a record; returns the lines that are to be told now, often none.
    pub fn tell(&mut self, record: &Record) -> Vec<String> {
        let at = record.at;
        match &record.what {
            What::Action(action) => self.action(at, action),
            What::HostStarted { host, member, restored } => self.host_started(at, *host, *member, *restored),
            What::HostStopped { host, why } => self.host_stopped(at, *host, *why),
            What::Event { host, event } => self.event(at, *host, event),
            What::Reply { host, reply, .. } => self.reply(at, *host, reply),
            What::ProcessExited { host, service, status, .. } => {
                let text = format!("the process of {service} on {} ends with {status}.", self.name(*host));
                self.say(at, &text);
            }
            What::Holds { host, key, version, .. } => self.holds(at, *host, key, *version),
            What::Rendered { host, service, rendering } => self.rendered(at, *host, service, rendering),
            What::LeaseRanOut { host, service, .. } => {
                let text = format!(
                    "the guard of {service} on {} kills it: no supervisor has renewed its lease.",
                    self.name(*host)
                );
                self.say(at, &text);
            }
            What::BeyondLimit { host, what, count, limit } => {
                let text = format!("{} has {what} of {count}: more than {limit}.", self.name(*host));
                self.say(at, &text);
            }
            What::Confirmed { host, key, version, on } => self.confirmed(at, *host, key, *version, on),
            What::Asked { .. }
            | What::Build { .. }
            | What::ProcessStarted { .. }
            | What::ProcessSignalled { .. }
            | What::Restored { .. }
            | What::Leads { .. }
            | What::HookBegan { .. }
            | What::HookEnded { .. }
            | What::GuardHolds { .. }
            | What::Sent { .. }
            | What::Delivered { .. }
            | What::Replayed { .. }
            | What::Dropped { .. }
            | What::RefusalDelivered { .. } => {}
        }
        std::mem::take(&mut self.lines)
    }

    fn confirmed(&mut self, at: Instant, host: HostId, key: &RumorKey, version: u64, on: &[HostId]) {
        let Some(group) = key.group() else { return };
        let all: Vec<&str> = on.iter().map(|host| self.name(*host)).collect();
        let where_ = if all.is_empty() { String::from("no alive member serves it") } else { all.join(", ") };
        let text = format!(
            "{} says that version {version} of {group} is in effect on all its alive members: {where_}.",
            self.name(host)
        );
        self.say(at, &text);
    }

    /// The line that tells how an expectation is decided.
    #[must_use]
    pub fn verdict(&self, verdict: &Verdict) -> String {
        let Verdict { line, text, at, how } = verdict;
        let how = match how {
            Decided::CameTrue => "came true",
            Decided::Held => "held",
            Decided::Refused => "refused, as expected",
            Decided::Failed => "FAILED",
        };
        format!("{:>9}  => {how} (line {line}): {text}", at.to_string())
    }

    fn say(&mut self, at: Instant, text: &str) {
        let time = at.to_string();
        self.lines.push(format!("{time:>9}  {}", self.by_name(text)));
    }

    /// The text with names instead of the ids and addresses of members.
    fn by_name(&self, text: &str) -> String {
        let is_id = |word: &str| word.len() == ID_DIGITS && word.bytes().all(|b| b.is_ascii_hexdigit());
        let named = |word: &str| -> Option<String> {
            if is_id(word) {
                return word.parse().ok().map(|member| self.who(&member));
            }
            // A stream's sender shows another port than the one that it listens on.
            let address: SocketAddr = word.parse().ok()?;
            let index = index_of(SocketAddr::new(address.ip(), PORT))?;
            self.names.get(index as usize).cloned()
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':';
        let mut words = Vec::new();
        for word in text.split(' ') {
            let core = word.trim_matches(|c| !is_part(c)).trim_end_matches(['.', ':']);
            words.push(match named(core) {
                Some(name) => word.replace(core, &name),
                None => word.to_owned(),
            });
        }
        words.join(" ")
    }

    fn name(&self, host: HostId) -> &str {
        self.names.get(host.0 as usize).map_or("an unknown host", String::as_str)
    }

    /// The name of the host that a member runs on; a member that came back without its disk is another one.
    fn who(&self, member: &MemberId) -> String {
        let Some(host) = self.hosts.get(member) else { return String::from("an unknown member") };
        if self.members.get(host) == Some(member) {
            return self.name(*host).to_owned();
        }
        format!("the former member on {}", self.name(*host))
    }

    fn host_started(&mut self, at: Instant, host: HostId, member: MemberId, restored: bool) {
        let again = self.members.contains_key(&host);
        self.hosts.insert(member, host);
        self.members.insert(host, member);
        self.views.start(host, member);
        self.whole = false;
        if again {
            let name = self.name(host);
            let text = if restored {
                format!("{name} reads who it is from its disk: the ring will know it again.")
            } else {
                format!("{name} finds nothing on its disk: to the ring it is a new member.")
            };
            self.say(at, &text);
        }
    }

    fn host_stopped(&mut self, at: Instant, host: HostId, why: StopReason) {
        self.views.stop(host);
        self.whole = false;
        let text = match why {
            StopReason::Exit(ExitReason::Left) => format!("{} has left and ends.", self.name(host)),
            StopReason::Exit(ExitReason::Departed) => {
                format!("{} learns that it is banned, and ends.", self.name(host))
            }
            StopReason::Exit(ExitReason::Reset) => {
                format!("{} learns that its ban is lifted, and starts again.", self.name(host))
            }
            // The action was told already.
            StopReason::Crashed | StopReason::Killed => return,
        };
        self.say(at, &text);
    }

    fn reply(&mut self, at: Instant, host: HostId, reply: &Reply) {
        if let Reply::Failed(error) = reply {
            let text = format!("{} refuses: {error}.", self.name(host));
            self.say(at, &text);
        }
    }
}
