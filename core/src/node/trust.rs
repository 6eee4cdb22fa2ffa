//! Decides on whose word a rumor is believed. Every member checks what it hears itself, whichever way it came, and a
//! statement in another's name costs no state: it is counted, and reported with where it came from.
//!
//! A check costs a daemon about as much as a hundred ordinary steps. So what was found good lately is remembered, and
//! each source may be wrong a few times only before it has to wait. Datagrams, whose source a stranger can invent, and
//! streams count apart, so that a flood in a member's name holds up no digest exchange with it.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Node, ctx};
use crate::model::channel::Channel;
use crate::model::context::{Context, Follows};
use crate::model::election::ElectionId;
use crate::model::event::{EventKind, Refusal};
use crate::model::id::MemberId;
use crate::model::identity::{Sign, Vouch};
use crate::model::limits::Limit;
use crate::model::mutant::mutated;
use crate::model::planted::{Bug, Planted};
use crate::model::rumor::{Contender, Proof, Rumor, RumorKey, RumorKind, Told, Version};
use crate::model::statement::{Author, Statement, ballot_bytes};
use crate::model::time::Instant;
use crate::rumor::Priority;
use crate::wire::swim::is_meant_for;
use crate::wire::{said, vouch_of};

/// Statements that are remembered as good.
const REMEMBERED_MAX: usize = 1_024;
/// Checks that may fail at once from one source; one more after each period.
const FAILURES_MAX: u32 = 32;
const FAILURE_PERIOD_MS: u64 = 500;
/// The same for all sources of one channel together.
const ALL_FAILURES_MAX: u32 = 512;
const ALL_FAILURE_PERIOD_MS: u64 = 10;
/// Time between two reports that an author gives more than its share.
const OVERFULL_PERIOD_MS: u64 = 60_000;
/// Orders of one kind that an author gives; what it gives more is told like any other rumor, and not before.
const SWIFT_MAX: usize = 64;
/// Sources of failed checks that are remembered.
const SOURCES_MAX: usize = 128;

const _: () = assert!(FAILURES_MAX < ALL_FAILURES_MAX && ALL_FAILURE_PERIOD_MS < FAILURE_PERIOD_MS);

/// Where a statement came from: streams cannot be sent from an invented address.
pub(super) type Source = (SocketAddr, Channel);

/// How many checks may still fail.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u32,
    at: Instant,
}

impl Budget {
    /// Whether a check may fail now. What is left grows with time.
    fn has_any(&mut self, now: Instant, max: u32, period_ms: u64) -> bool {
        let periods = now.saturating_since(self.at).as_millis() / u128::from(period_ms);
        let grown = u32::try_from(periods).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(grown).min(max);
        let spent = u64::from(grown).saturating_mul(period_ms);
        self.at = if self.left == max { now } else { self.at + Duration::from_millis(spent) };
        assert!(self.left <= max, "a budget has a bound");
        self.left > 0
    }

    fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

/// What was found out about the words of others.
#[derive(Debug, Default)]
pub(super) struct Trust {
    good: BTreeSet<[u8; 32]>,
    /// The same, oldest first.
    order: VecDeque<[u8; 32]>,
    sources: BTreeMap<(IpAddr, Channel), Budget>,
    all: BTreeMap<Channel, Budget>,
    /// When it was last said that an author gave more than its share.
    said: BTreeMap<Limit, Instant>,
}

impl Trust {
    fn remember(&mut self, word: [u8; 32]) {
        if self.good.insert(word) {
            self.order.push_back(word);
        }
        while self.order.len() > REMEMBERED_MAX {
            let oldest = self.order.pop_front().expect("there are more than none");
            self.good.remove(&oldest);
        }
        assert!(self.good.len() == self.order.len(), "both list the same");
    }

    /// Whether a check of something from there may fail now.
    fn may_fail(&mut self, now: Instant, (from, channel): Source) -> bool {
        let full = |left| Budget { left, at: now };
        let all = self.all.entry(channel).or_insert(full(ALL_FAILURES_MAX));
        let has_any = all.has_any(now, ALL_FAILURES_MAX, ALL_FAILURE_PERIOD_MS);
        let one = self.sources.get_mut(&(from.ip(), channel));
        has_any && one.is_none_or(|one| one.has_any(now, FAILURES_MAX, FAILURE_PERIOD_MS))
    }

    /// Whether it is news that an author gives more than its share: a flood is said once in a while.
    fn is_news(&mut self, now: Instant, limit: Limit) -> bool {
        let period = Duration::from_millis(OVERFULL_PERIOD_MS);
        let is_news = self.said.get(&limit).is_none_or(|said| *said + period <= now);
        if is_news {
            self.said.insert(limit, now);
        }
        assert!(self.said.len() <= Limit::ALL.len(), "limits are few");
        is_news
    }

    fn failed(&mut self, now: Instant, (from, channel): Source) {
        let key = (from.ip(), channel);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&key) {
            // The one that was wrong the longest ago has most of its budget back.
            let oldest = self.sources.iter().max_by_key(|(_, budget)| (budget.left, budget.at));
            let oldest = oldest.map(|(key, _)| *key);
            oldest.map(|oldest| self.sources.remove(&oldest));
        }
        let full = Budget { left: FAILURES_MAX, at: now };
        self.sources.entry(key).or_insert(full).spend();
        self.all.entry(channel).or_insert(Budget { left: ALL_FAILURES_MAX, at: now }).spend();
        assert!(self.sources.len() <= SOURCES_MAX, "sources have a limit");
    }
}

/// Signs, and says what is signed.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) signer: &'a dyn Sign,
    pub(super) planted: Planted,
}

impl Words<'_> {
    fn statement(self, key: &RumorKey, number: u64, content: [u8; 32]) -> Statement {
        let number = if self.planted.has(Bug::NumberUnsigned) { 0 } else { number };
        let content = if self.planted.has(Bug::ContentUnsigned) { [0; 32] } else { content };
        Statement::new(key, number, content)
    }

    /// The hash of what a rumor says. Of a version it is the body's, so that the word for one that lost outlives it.
    fn content(self, told: &Told<'_>) -> [u8; 32] {
        match told.rumor().version() {
            Some(version) => self.signer.hash(&version.body),
            None => self.signer.hash(&told.said()),
        }
    }

    /// What this member says itself, with its word for it. What is another's to say gets none: this member's is of no
    /// use for that.
    pub(super) fn sign(self, rumor: Rumor) -> Told<'static> {
        let is_own = match rumor.author() {
            Author::Only(author) => author == self.signer.id(),
            Author::Any => true,
            Author::Unsigned | Author::Nobody => false,
        };
        let mut told = Told::from(rumor);
        if !is_own {
            return told;
        }
        let (key, number) = (told.rumor().key(), told.rumor().number());
        let content = self.content(&told);
        let vouch = self.statement(&key, number, content).vouch(self.signer);
        if let Some(version) = told.rumor_mut().version_mut() {
            version.prove(Proof { content, vouch });
        }
        assert!(told.rumor().key() == key && told.rumor().number() == number, "a word is for what is told");
        Told::own(told.into_rumor(), Some(vouch))
    }

    /// This member's word for a step of an election.
    pub(super) fn vouch_for_ballot(self, to: &MemberId, said: &[u8]) -> Vouch {
        assert!(!said.is_empty() && *to != self.signer.id(), "a member writes to others");
        let message = ballot_bytes(to, self.signer.hash(said));
        Vouch { key: self.signer.public_key(), signature: self.signer.sign(&message) }
    }

    /// A rumor of this member's disk. The disk is trusted; what it holds without its author's word is of a version before
    /// keys: what operators gave is signed anew, by this member that took it over, and the rest comes back from its
    /// authors.
    pub(super) fn restore(self, mut told: Told<'static>) -> Option<Told<'static>> {
        if told.rumor().author() == Author::Unsigned {
            return Some(told);
        }
        let Some(vouch) = told.vouch().copied() else { return self.take_over(told.into_rumor()) };
        let content = self.content(&told);
        if let Some(version) = told.rumor_mut().version_mut() {
            version.prove(Proof { content, vouch });
        }
        Some(told)
    }

    fn take_over(self, mut rumor: Rumor) -> Option<Told<'static>> {
        if let Some(version) = rumor.version_mut() {
            *version = version.clone().retaken(self.signer.id());
            assert!(version.contenders().is_empty(), "no old note outlives its proof");
        }
        let is_orders = rumor.version().is_some() || rumor.author() == Author::Any;
        is_orders.then(|| self.sign(rumor))
    }
}

impl Node {
    fn words(&self) -> Words<'_> {
        Words { signer: &*self.signer, planted: self.config.planted }
    }

    /// What this member says itself, with its word for it.
    pub(super) fn signed(&self, rumor: Rumor) -> Told<'static> {
        self.words().sign(rumor)
    }

    /// The member that vouches for a rumor, by its key.
    pub(super) fn author_of(&self, told: &Told<'_>) -> Option<MemberId> {
        told.vouch().map(|vouch| self.signer.id_of(&vouch.key))
    }

    /// A rumor of another member, if it is to be believed: its author said so. None when it is not.
    pub(super) fn authentic<'a>(&mut self, mut told: Told<'a>, source: Source) -> Option<Told<'a>> {
        let author = told.rumor().author();
        let planted = self.config.planted;
        let is_unchecked = planted.has(Bug::WordsUnchecked)
            || (planted.has(Bug::StreamsUnchecked) && source.1 == Channel::Stream);
        if author == Author::Unsigned || is_unchecked {
            return Some(told);
        }
        match self.judge(&mut told, author, source) {
            Ok(()) => Some(told),
            Err(refusal) => {
                let author = match author {
                    Author::Only(author) => Some(author),
                    Author::Any | Author::Unsigned | Author::Nobody => self.author_of(&told),
                };
                self.refuse(author, told.rumor().key(), refusal, source);
                None
            }
        }
    }

    fn judge(&mut self, told: &mut Told<'_>, author: Author, source: Source) -> Result<(), Refusal> {
        let Some(vouch) = told.vouch().copied() else { return Err(Refusal::Unsigned) };
        let by = self.signer.id_of(&vouch.key);
        let is_theirs = match author {
            Author::Only(author) => author == by || self.config.planted.has(Bug::AnyKeyVouches),
            Author::Any => true,
            Author::Unsigned | Author::Nobody => false,
        };
        if !is_theirs {
            return Err(Refusal::NotItsKey);
        }
        let (key, content) = (told.rumor().key(), self.words().content(told));
        let statement = self.words().statement(&key, told.rumor().number(), content);
        self.check(&statement, &vouch, source)?;
        if let Some(version) = told.rumor_mut().version_mut() {
            version.prove(Proof { content, vouch });
        }
        told.rumor().version().map_or(Ok(()), |version| self.judge_contenders(&key, version, source))
    }

    /// Which other bodies had this number is believed of those only whose writers say so.
    fn judge_contenders(&mut self, key: &RumorKey, version: &Version, source: Source) -> Result<(), Refusal> {
        for Contender { writer, proof, .. } in mutated!(LosersUnproven, version.contenders(), &[]) {
            let Proof { content, vouch } = proof.ok_or(Refusal::Unsigned)?;
            if Some(self.signer.id_of(&vouch.key)) != *writer {
                return Err(Refusal::NotItsKey);
            }
            let statement = self.words().statement(key, version.number, content);
            self.check(&statement, &vouch, source)?;
        }
        Ok(())
    }

    /// Whether its sender vouches for a step of an election, and meant it for this member.
    pub(super) fn is_ballot_authentic(
        &mut self,
        from: &MemberId,
        election: &ElectionId,
        ballot: &[u8],
        source: Source,
    ) -> bool {
        assert!(*from != self.me, "a member hears others only");
        if self.config.planted.has(Bug::BallotsUnchecked) {
            return true;
        }
        let judged = match vouch_of(ballot) {
            None => Err(Refusal::Unsigned),
            // It is for the member that was at this address before.
            Some(_) if !is_meant_for(ballot, &self.me) => return false,
            Some(vouch) if self.signer.id_of(&vouch.key) != *from => Err(Refusal::NotItsKey),
            Some(vouch) => {
                let message = ballot_bytes(&self.me, self.signer.hash(&said(ballot)));
                self.check_signature(&message, &vouch, source)
            }
        };
        if let Err(refusal) = judged {
            self.refuse(Some(*from), RumorKey::Election(election.clone()), refusal, source);
        }
        judged.is_ok()
    }

    /// Looks at how much of what all operators share the author of an order has: how urgently it is told on, or none where it
    /// has had its share. One that floods the ring delays no refutation, and no other's orders.
    pub(super) fn share_of(&mut self, told: &Told<'_>, priority: Priority) -> Option<Priority> {
        let kind = told.rumor().key().kind();
        let Some(by) = told.vouch().map(|vouch| vouch.key).filter(|_| kind.room().in_ring.is_some()) else {
            return Some(priority);
        };
        let author = self.signer.id_of(&by);
        let is_member = author == self.me || self.membership.table().get(&author).is_some();
        if let Some(limit) = self.rumors.no_share_for(told.rumor(), &by, is_member) {
            if self.trust.is_news(self.clock.now(), limit) {
                let ctx = ctx!(self);
                ctx.limit_reached(limit);
            } else {
                self.metrics.limits_reached += 1;
            }
            return None;
        }
        let is_swift = is_member && self.rumors.share(kind, &by) < SWIFT_MAX;
        Some(if mutated!(FloodIsUrgent, is_swift, true) { priority } else { priority.max(Priority::Normal) })
    }

    /// No step of an election comes twice, so that none is worth remembering.
    pub(super) fn check_signature(
        &mut self,
        message: &[u8],
        vouch: &Vouch,
        source: Source,
    ) -> Result<(), Refusal> {
        let now = self.clock.now();
        if mutated!(ChecksUnbounded, !self.trust.may_fail(now, source), false) {
            return Err(Refusal::Unchecked);
        }
        self.metrics.signatures_checked += 1;
        if vouch.holds_for(message, &*self.signer) {
            return Ok(());
        }
        self.trust.failed(now, source);
        Err(Refusal::Forged)
    }

    fn check(&mut self, statement: &Statement, vouch: &Vouch, source: Source) -> Result<(), Refusal> {
        let message = statement.bytes();
        let mut word: Vec<u8> = vouch.to_bytes().to_vec();
        word.extend_from_slice(&message);
        let word = self.signer.hash(&word);
        if self.trust.good.contains(&word) {
            return Ok(());
        }
        self.check_signature(&message, vouch, source)?;
        self.trust.remember(word);
        assert!(self.trust.good.contains(&word), "what was just found good is remembered");
        Ok(())
    }

    /// Reports a statement that is not believed. Of a source that may not be wrong any more only the number grows.
    fn refuse(&mut self, author: Option<MemberId>, key: RumorKey, refusal: Refusal, source: Source) {
        self.metrics.statements_refused += 1;
        assert!(key.kind() != RumorKind::Member, "records of members are judged by the rules of SWIM");
        let now = self.clock.now();
        if refusal != Refusal::Forged && !self.trust.may_fail(now, source) {
            return;
        }
        if matches!(refusal, Refusal::Unsigned | Refusal::NotItsKey) {
            self.trust.failed(now, source);
        }
        let from = source.0;
        let ctx = ctx!(self);
        ctx.event(Follows::Input, EventKind::StatementRefused { from, author, key, refusal });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8, channel: Channel) -> Source {
        (SocketAddr::from(([10, 0, 0, last], 9638)), channel)
    }

    #[test]
    fn a_source_that_is_wrong_too_often_waits_and_others_do_not() {
        let (mut trust, now) = (Trust::default(), Instant::from_millis(1_000));
        let liar = source(1, Channel::Datagram);
        let mut failed = 0;
        while trust.may_fail(now, liar) {
            trust.failed(now, liar);
            failed += 1;
        }
        assert_eq!(failed, FAILURES_MAX);
        assert!(
            trust.may_fail(now, source(1, Channel::Stream)),
            "no stranger can speak from there by stream"
        );
        assert!(trust.may_fail(now, source(2, Channel::Datagram)));
        let later = now + Duration::from_millis(FAILURE_PERIOD_MS);
        assert!(trust.may_fail(later, liar));
        trust.failed(later, liar);
        assert!(!trust.may_fail(later, liar), "one more after each period");
    }

    #[test]
    fn invented_sources_share_a_budget_and_have_no_memory_without_end() {
        let (mut trust, now) = (Trust::default(), Instant::from_millis(1_000));
        let mut failed = 0;
        for n in 0..10_000_u32 {
            let from = SocketAddr::from((core::net::Ipv4Addr::from_bits(0x0a00_0000 + n), 1));
            if trust.may_fail(now, (from, Channel::Datagram)) {
                trust.failed(now, (from, Channel::Datagram));
                failed += 1;
            }
        }
        assert_eq!(failed, ALL_FAILURES_MAX);
        assert!(trust.sources.len() <= SOURCES_MAX);
        assert!(trust.may_fail(now, source(1, Channel::Stream)));
    }

    #[test]
    fn of_good_words_the_latest_are_remembered() {
        let mut trust = Trust::default();
        let word = |n: u32| {
            let mut word = [0; 32];
            word[..4].copy_from_slice(&n.to_le_bytes());
            word
        };
        (0..3_000).for_each(|n| trust.remember(word(n)));
        trust.remember(word(2_999));
        assert_eq!(trust.good.len(), REMEMBERED_MAX);
        assert!(trust.good.contains(&word(2_999)) && !trust.good.contains(&word(0)));
    }
}
