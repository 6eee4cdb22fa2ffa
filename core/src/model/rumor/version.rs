//! The common part of group configuration and group files: a body that operators replace as a whole, version by
//! version.
//!
//! No member owns such a rumor: each takes a new version from an operator. So two members that cannot hear each other
//! may both take version 7. The join keeps one of them, the same one everywhere, and the names of those that lost.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::model::digest;
use crate::model::id::MemberId;
use crate::model::identity::Vouch;
use crate::model::limits::CONTENDERS_MAX;
use crate::model::mutant::mutated;

/// The word of the member that took a body from an operator. It outlives the body: of one that lost, its member's word
/// is told on, and no member has to take another's word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The hash of the body that was signed.
    pub(crate) content: [u8; 32],
    /// The word for it.
    pub(crate) vouch: Vouch,
}

/// One of several bodies of the same version, and who took it from an operator. Two are the same whose hash and writer
/// are, whatever proves it.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// [`Version::hash_of`] its body.
    pub hash: u64,
    /// The member that acknowledged it; none when it came into the ring by another way than a member.
    pub writer: Option<MemberId>,
    pub(crate) proof: Option<Proof>,
}

impl PartialEq for Contender {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Contender {}

impl PartialOrd for Contender {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Contender {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.hash, self.writer).cmp(&(other.hash, other.writer))
    }
}

/// A numbered body. Two are the same that say the same, whatever proves it.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its number, from 1; operators raise it.
    pub number: u64,
    /// The content.
    pub body: Vec<u8>,
    /// Who acknowledged it.
    pub writer: Option<MemberId>,
    /// The writer's word for the body.
    proof: Option<Proof>,
    /// Who else acknowledged this number, greatest first, all below the one that is held.
    contenders: Vec<Contender>,
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        (self.number, self.writer) == (other.number, other.writer)
            && self.contenders == other.contenders
            && self.body == other.body
    }
}

impl Eq for Version {}

impl Version {
    /// A version that `writer` takes from an operator.
    #[must_use]
    pub const fn new(number: u64, body: Vec<u8>, writer: Option<MemberId>) -> Self {
        Self { number, body, writer, proof: None, contenders: Vec::new() }
    }

    /// The writer's word for the body, where it was found good.
    pub(crate) const fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// Notes the writer's word for the body.
    pub(crate) fn prove(&mut self, proof: Proof) {
        assert!(self.writer.is_some(), "a word is a member's");
        self.proof = Some(proof);
    }

    /// The same, taken from its operator by this member, with no memory of others.
    pub(crate) fn retaken(self, writer: MemberId) -> Self {
        let retaken = Self::new(self.number, self.body, Some(writer));
        assert!(retaken.proof.is_none(), "another member's word vouches for its own order alone");
        retaken
    }

    /// What tells bodies apart in histories and notes: 64 bits, no defence against forgery.
    #[must_use]
    pub fn hash_of(body: &[u8]) -> u64 {
        digest::hash_bytes(body)
    }

    /// The hash of its body.
    #[must_use]
    pub fn hash(&self) -> u64 {
        Self::hash_of(&self.body)
    }

    /// The members that acknowledged another body under this number. Their bodies are not in effect.
    pub fn losers(&self) -> impl Iterator<Item = &Contender> {
        let hash = if self.contenders.is_empty() { 0 } else { self.hash() };
        self.contenders.iter().filter(move |c| mutated!(SameBodyLoses, c.hash != hash, true))
    }

    /// Whether this member acknowledged another body under this number.
    #[must_use]
    pub fn has_lost(&self, writer: &MemberId) -> bool {
        // The body is hashed only where it matters.
        self.contenders.iter().any(|c| c.writer.as_ref() == Some(writer) && c.hash != self.hash())
    }

    /// The others that acknowledged its number, greatest first.
    pub(crate) fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// The version with these noted; none unless they are in order, below the version itself and within the limit.
    pub(crate) fn with_contenders(mut self, contenders: Vec<Contender>) -> Option<Self> {
        assert!(self.contenders.is_empty(), "a version's contenders are noted once");
        let greatest_first = contenders.is_sorted_by(|above, below| above > below);
        let are_below = contenders.first().is_none_or(|first| *first < self.top());
        if !greatest_first || !are_below || contenders.len() >= CONTENDERS_MAX {
            return None;
        }
        assert!(contenders.len() < CONTENDERS_MAX, "so many contenders are told apart");
        self.contenders = contenders;
        Some(self)
    }

    fn top(&self) -> Contender {
        Contender { hash: self.hash(), writer: self.writer, proof: self.proof }
    }

    /// Joins two versions: the higher number; of one number the body with the greatest hash, and a note of all members
    /// that acknowledged the number, up to a limit. True when this one changed.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        if other.number != self.number {
            let newer = other.number > self.number;
            if newer {
                self.clone_from(other);
            }
            return newer;
        }
        assert!(self.number == other.number, "bodies of one number are compared");
        if self == other {
            return false;
        }
        let (mine, theirs) = (self.top(), other.top());
        let noted = self.contenders.iter().chain(&other.contenders).copied();
        let mut all: BTreeSet<Contender> = noted.chain([mine, theirs]).collect();
        while all.len() > CONTENDERS_MAX {
            all.pop_first();
        }
        let top = all.pop_last().expect("both tops were put in");
        let contenders: Vec<Contender> = all.into_iter().rev().collect();
        let other_body = mutated!(
            LowestBodyWins,
            (theirs.hash, &other.body) > (mine.hash, &self.body),
            theirs.hash != mine.hash
        );
        let changed = other_body || top.writer != self.writer || contenders != self.contenders;
        if other_body {
            self.body.clone_from(&other.body);
        }
        (self.writer, self.proof) = (top.writer, top.proof);
        self.contenders = contenders;
        assert!(self.contenders.len() < CONTENDERS_MAX, "so many contenders are told apart");
        assert!(
            self.contenders.first().is_none_or(|first| *first < top),
            "the body that is held is the greatest"
        );
        changed
    }
}
