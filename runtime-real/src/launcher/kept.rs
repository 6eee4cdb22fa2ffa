//! Starts programs that no guard of a service starts, each with a keeper: hooks of packages. Waits for none.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::confine::confine;
use super::guard::keeper;
use super::{child, sys};
use crate::host::capabilities::Capabilities;
use crate::host::users::Account;

/// Has a command's program give up what [`super::confine`] says, with a keeper between the caller and the program: the command's child is the keeper, which ends all that the
/// program started with it, with the thread that starts it, or at SIGTERM, and holds `lock` until nothing is left.
#[allow(unsafe_code)]
pub(crate) fn confine_kept(command: &mut Command, account: Option<&Account>, lock: &File) {
    let owner = account.map(|account| {
        let groups: Vec<u8> = account.groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
        (account.uid, account.gid, groups)
    });
    let lock = lock.as_raw_fd();
    let between_fork_and_exec = move || {
        keeper::keep(lock)?;
        child::default_signals()?;
        let owner = owner.as_ref().map(|(uid, gid, groups)| (*uid, *gid, groups.as_slice()));
        confine(owner, Capabilities::NONE)?;
        // The change of the user takes this back.
        set_pdeathsig(Signal::SIGKILL)?;
        sys::close_on_execute();
        Ok(())
    };
    // SAFETY: the closure makes system calls and neither allocates nor takes a lock; the copy that stays never returns from
    // `keep`, which does the same.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, between_fork_and_exec) };
}
