//! A disk in trouble: slow, standing still, failing a few writes or all, or full. While it stands still everything waits that
//! needs it: writes, the supervisor's files, and the launcher, which logs. Guards need no disk.

use std::time::Duration;

use annulus_core::EffectId;

use crate::engine::deed::Deed;
use crate::engine::link::Delay;
use crate::engine::work::{Later, Work, times};
use crate::engine::world::World;

/// What the system says of a full disk, and of a broken one.
const NO_SPACE: &str = "no space left on device";
const NO_OUTPUT: &str = "input/output error";

/// How a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskState {
    /// As it should be.
    #[default]
    Sound,
    /// Each write takes so much longer.
    Slow(Delay),
    /// No write ends.
    Stalled,
    /// The next writes fail, so many of them.
    Failing(u32),
    /// Every write fails until the disk is mended, those of services' files too.
    Broken,
    /// Every write fails.
    Full,
}

/// The trouble of one disk.
#[derive(Debug, Default)]
pub(crate) struct DiskTrouble {
    state: DiskState,
    /// Work that waits until the disk moves again, in order.
    waiting: Vec<Later>,
}

impl DiskTrouble {
    /// Whether a write fails that begins now.
    fn refuses(&mut self) -> Option<&'static str> {
        match &mut self.state {
            DiskState::Full => Some(NO_SPACE),
            DiskState::Broken => Some(NO_OUTPUT),
            DiskState::Failing(left) => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.state = DiskState::Sound;
                }
                Some(NO_OUTPUT)
            }
            DiskState::Sound | DiskState::Slow(_) | DiskState::Stalled => None,
        }
    }

    pub(crate) fn keep(&mut self, later: Later) {
        self.waiting.push(later);
    }
}

impl<D: Deed> World<D> {
    /// From now on a host's disk is like that.
    pub(crate) fn set_disk(&mut self, host: u32, state: DiskState) {
        let trouble = &mut self.hosts[host as usize].rest.disk_trouble;
        trouble.state = state;
        if state != DiskState::Stalled {
            let waiting = std::mem::take(&mut trouble.waiting);
            self.end_orphaned_hooks(host);
            for later in waiting {
                self.effect_goes_on(later);
            }
        }
    }

    pub(crate) fn disk_stands_still(&self, host: u32) -> bool {
        self.hosts[host as usize].rest.disk_trouble.state == DiskState::Stalled
    }

    /// Why a write fails that begins now; none when it does not.
    pub(crate) fn disk_refuses(&mut self, host: u32) -> Option<&'static str> {
        self.hosts[host as usize].rest.disk_trouble.refuses()
    }

    /// The same for files of services, which do not count among the writes that fail.
    pub(crate) fn disk_refuses_files(&self, host: u32) -> Option<&'static str> {
        match self.hosts[host as usize].rest.disk_trouble.state {
            DiskState::Full => Some(NO_SPACE),
            DiskState::Broken => Some(NO_OUTPUT),
            DiskState::Sound | DiskState::Slow(_) | DiskState::Stalled | DiskState::Failing(_) => None,
        }
    }

    /// How much longer a write takes.
    pub(crate) fn disk_delay(&mut self, host: u32) -> Duration {
        match self.hosts[host as usize].rest.disk_trouble.state {
            DiskState::Slow(delay) => self.drawn(Some(delay), times::AT_ONCE),
            _ => Duration::ZERO,
        }
    }

    /// A write that promises to survive begins.
    pub(crate) fn begin_sync(&mut self, host: u32, id: EffectId) {
        let takes = self.drawn(None, times::SYNC) + self.disk_delay(host);
        self.after_exactly(takes, host, Work::Synced(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_a_few_writes_is_sound_again_and_a_full_or_broken_one_is_not() {
        let mut trouble = DiskTrouble { state: DiskState::Failing(2), waiting: Vec::new() };
        assert!(trouble.refuses().is_some() && trouble.refuses().is_some());
        assert_eq!(trouble.refuses(), None);
        for lasting in [DiskState::Full, DiskState::Broken] {
            trouble.state = lasting;
            assert!((0..9).all(|_| trouble.refuses().is_some()));
        }
    }
}
