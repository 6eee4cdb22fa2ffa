//! The versions of a group's configuration and files with which the process runs: those of its files, once the process
//! was told of them, or started with them. An operator that waits is told so by these, and the files alone do not tell.

use super::super::work::Work;
use super::files::Meaning;
use crate::model::planted::{Bug, Planted};

/// Versions of a group's configuration and files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    /// The configuration's; 0 where there is none.
    pub(super) config: u64,
    /// The digest of all of them; 0 where there are none.
    pub(super) digest: u64,
}

/// How far a process knows of its files.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Those that the process runs with, or will be started with.
    runs: Versions,
    /// Those in the files.
    written: Versions,
    /// Counts the writes beside the process.
    writes: u64,
    /// The process is replaced before it knows of its files.
    replaces: bool,
    /// Those that are in effect: a process runs with them that has been found well since, or is to be started with them.
    in_effect: Versions,
    /// Those with which the process ran when the health check began that is under way.
    checking: Option<Versions>,
    reconfigure: Telling,
    file_updated: Telling,
}

/// How far a hook that tells the process of its files has come.
#[derive(Clone, Copy, Debug, Default)]
struct Telling {
    /// The last write that it has to tell of.
    owed: Option<u64>,
    /// The last write before it began.
    begun: u64,
}

impl Applied {
    /// Those that the process runs with.
    pub(super) const fn runs(&self) -> Versions {
        self.runs
    }

    /// The next process starts with these files.
    pub(super) fn start(&mut self, versions: Versions) {
        let in_effect = self.in_effect;
        *self = Self { runs: versions, written: versions, in_effect, ..Self::default() };
    }

    /// Those that are in effect.
    pub(super) const fn in_effect(&self) -> Versions {
        self.in_effect
    }

    /// The process that runs with its versions is well.
    pub(super) const fn confirm(&mut self) {
        self.in_effect = self.runs;
    }

    /// A health check has ended. It says nothing of versions of which the process learned after it had begun.
    pub(super) fn checked(&mut self, is_well: bool) {
        if self.checking.take() == Some(self.runs) && is_well {
            self.confirm();
        }
    }

    /// The files were written beside the process, to which that means something.
    pub(super) fn written(&mut self, versions: Versions, meaning: Meaning, planted: Planted) {
        self.written = versions;
        self.writes += 1;
        match meaning {
            _ if planted.has(Bug::AppliedBeforeTold) => {}
            Meaning::Replace(_) => self.replaces = true,
            Meaning::Tell { reconfigure, file_updated } => {
                if reconfigure {
                    self.reconfigure.owed = Some(self.writes);
                }
                if file_updated {
                    self.file_updated.owed = Some(self.writes);
                }
            }
        }
        self.settle();
    }

    /// A kind of work begins that may tell the process.
    pub(super) fn begins(&mut self, work: Work) {
        if work == Work::Health {
            self.checking = Some(self.runs);
        }
        let writes = self.writes;
        if let Some(telling) = self.telling(work) {
            telling.begun = writes;
        }
    }

    /// It has done so.
    pub(super) fn told(&mut self, work: Work) {
        if let Some(telling) = self.telling(work) {
            telling.owed = telling.owed.filter(|owed| *owed > telling.begun);
            self.settle();
        }
    }

    const fn telling(&mut self, work: Work) -> Option<&mut Telling> {
        match work {
            Work::Reconfigure => Some(&mut self.reconfigure),
            Work::FileUpdated => Some(&mut self.file_updated),
            Work::Look
            | Work::Prepare
            | Work::Render
            | Work::PostRun
            | Work::Suitability
            | Work::Health
            | Work::DrainHook
            | Work::Inflight => None,
        }
    }

    fn settle(&mut self) {
        assert!(
            self.reconfigure.begun <= self.writes && self.file_updated.begun <= self.writes,
            "a hook tells of files that are there"
        );
        if !self.replaces && self.reconfigure.owed.is_none() && self.file_updated.owed.is_none() {
            self.runs = self.written;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn version(config: u64) -> Versions {
        Versions { config, digest: 10 * config }
    }

    const fn tell(reconfigure: bool, file_updated: bool) -> Meaning {
        Meaning::Tell { reconfigure, file_updated }
    }

    fn applied() -> Applied {
        let mut applied = Applied::default();
        applied.start(version(1));
        applied
    }

    #[test]
    fn a_hook_that_has_succeeded_tells_the_process() {
        let mut applied = applied();
        assert_eq!(applied.runs(), version(1));
        applied.written(version(2), tell(false, false), Planted::default());
        assert_eq!(applied.runs(), version(2), "no file that it reads has changed");
        applied.written(version(3), tell(true, true), Planted::default());
        applied.begins(Work::Reconfigure);
        applied.begins(Work::FileUpdated);
        applied.told(Work::Reconfigure);
        assert_eq!(applied.runs(), version(2), "the other hook has not ended");
        applied.told(Work::FileUpdated);
        assert_eq!(applied.runs(), version(3));
    }

    #[test]
    fn a_hook_tells_of_the_files_that_it_found() {
        let mut applied = applied();
        applied.written(version(2), tell(true, false), Planted::default());
        applied.begins(Work::Reconfigure);
        applied.written(version(3), tell(true, false), Planted::default());
        applied.told(Work::Reconfigure);
        assert_eq!(applied.runs(), version(1), "it began before the last write");
        applied.begins(Work::Reconfigure);
        applied.written(version(3), tell(false, false), Planted::default());
        applied.told(Work::Reconfigure);
        assert_eq!(applied.runs(), version(3), "what was written meanwhile concerns no hook");
    }

    #[test]
    fn a_process_that_is_replaced_never_knows() {
        let mut applied = applied();
        applied.written(version(2), Meaning::Replace("its configuration changed"), Planted::default());
        applied.written(version(2), tell(false, false), Planted::default());
        assert_eq!(applied.runs(), version(1));
        applied.start(version(2));
        assert_eq!(applied.runs(), version(2));
    }
}
