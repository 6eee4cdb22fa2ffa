//! One identity on two hosts: a virtual machine's disk was copied, or a backup restored beside the original.

use crate::action::apply::ActionError;
use crate::action::world::World;

impl World {
    pub(crate) fn clone_disk(&mut self, host: u32, of: u32) -> Result<(), ActionError> {
        let mut copy = std::mem::take(&mut self.hosts[host as usize].rest.disk);
        copy.copy_from(&self.hosts[of as usize].rest.disk);
        let there = &mut self.hosts[host as usize].rest;
        there.disk = copy;
        there.cloned = host != of;
        there.departed = false;
        Ok(self.start(host)?)
    }

    /// A copied disk is replaced by an empty one.
    pub(super) fn end_clone(&mut self, host: u32) {
        let there = &mut self.hosts[host as usize];
        if std::mem::take(&mut there.rest.cloned) {
            self.stop(host, crate::engine::record::StopReason::Crashed);
            let there = &mut self.hosts[host as usize].rest;
            there.disk.lose();
            there.departed = false;
        }
    }
}
