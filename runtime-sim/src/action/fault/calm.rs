//! The end of every fault.

use std::time::Duration;

use super::Step;
use crate::action::HostId;
use crate::action::apply::ActionError;
use crate::action::world::World;
use crate::engine::host::HostState;
use crate::engine::world::Thing;

/// How soon a supervisor that left while everything is calm is started again.
const REVIVE_AFTER: Duration = Duration::from_millis(100);

impl World {
    /// The links are sound as they are now: this is what they come back to when every fault ends.
    pub fn call_links_sound(&mut self) {
        self.net.call_sound();
    }

    pub(crate) fn make_calm(&mut self) -> Result<(), ActionError> {
        self.net.repair();
        self.slow.clear();
        for host in 0..self.hosts.len() {
            let index = u32::try_from(host).expect("checked when a host is added");
            if self.hosts[host].clock.is_some() {
                self.set_clock_rate(HostId(index), 0);
            }
            self.hosts[host].rest.crash_at_sync = false;
            self.end_clone(index);
            match self.hosts[host].state {
                HostState::Running => {}
                HostState::Paused => self.resume(index),
                HostState::New => self.start(index)?,
                HostState::Stopped | HostState::Crashed => {
                    if !self.hosts[host].rest.departed {
                        self.start(index)?;
                    }
                }
            }
        }
        for host in self.hosts() {
            // A copied identity led to the copy.
            if let Some(member) = self.member_id(host) {
                self.remember_member(host.0, member);
            }
        }
        Ok(())
    }

    /// A supervisor ended: it was leaving when the faults ended, unless it is banned.
    pub(crate) fn stopped_while_calm(&mut self, index: u32) {
        if self.calm && !self.hosts[index as usize].rest.departed {
            self.queue.push(self.now + REVIVE_AFTER, Thing::Deed(Step::Revive(index)));
        }
    }

    pub(super) fn revive(&mut self, index: u32) {
        if self.calm && self.hosts[index as usize].state == HostState::Stopped {
            self.start(index).expect("a disk that was read once can be read again");
        }
    }
}
