//! Habitat's election rumor and how two of them are joined. The rules are Habitat's published ones; nothing of ours
//! is mixed in.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    NoQuorum,
    Finished,
}

/// One candidacy and its votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Election {
    pub(super) candidate: usize,
    pub(super) term: u64,
    suitability: u64,
    pub(super) status: Status,
    votes: Vec<usize>,
}

impl Election {
    /// A member proposes itself.
    pub(super) fn candidacy(me: usize, term: u64, suitability: u64, quorum: bool) -> Self {
        let status = if quorum { Status::Running } else { Status::NoQuorum };
        Self { candidate: me, term, suitability, status, votes: vec![me] }
    }

    /// The candidate has won when every living member has voted.
    pub(super) fn count(&mut self, electorate: &[usize], quorum: bool) {
        if !quorum {
            self.status = Status::NoQuorum;
        } else if electorate.iter().all(|voter| self.votes.contains(voter)) {
            self.status = Status::Finished;
        }
    }

    /// Joins another candidacy into this one; the first rule that fits decides.
    pub(super) fn merge(&mut self, other: &Self, names: &[u64]) {
        if self == other {
            return;
        }
        let replaces = if other.term >= self.term && other.status == Status::Finished {
            *self = other.clone();
            return;
        } else if other.term == self.term && self.status == Status::Finished {
            false
        } else if self.term > other.term {
            return;
        } else if self.suitability != other.suitability {
            other.suitability > self.suitability
        } else {
            names.get(other.candidate) > names.get(self.candidate)
        };
        let mut votes = if replaces { other.votes.clone() } else { self.votes.clone() };
        let more = if replaces { &self.votes } else { &other.votes };
        votes.extend(more.iter().filter(|vote| !votes.contains(vote)).copied().collect::<Vec<_>>());
        if replaces {
            *self = other.clone();
        }
        self.votes = votes;
    }
}
