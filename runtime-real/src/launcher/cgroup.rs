//! Puts each service into a control group (version 2) of its own: to be killed as a whole, and to be limited. Never
//! fails a start: where the host allows no such group, the service runs without one.
//!
//! ```text
//! <the launcher's own group>
//!   annulus-<name>-<pid>.supervisor    launcher, supervisor and guards, once a service has limits
//!   annulus-<name>-<pid>               of this launcher
//!     <service>                        killed as a whole
//!       run                            what the service starts, with its limits
//!       hook-<number>                  a hook, without limits, killed by itself as well
//! ```
//!
//! Killing needs no controller and no other right than to make a group below the own one. Limits need controllers, and
//! the kernel's rule is that a group with limits for its children holds no process itself. So when the first service
//! with limits is started, the launcher moves itself, its supervisor and the guards into a group beside the services'.
//! That needs a group that was delegated to this process, as systemd does with `Delegate=yes`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::unistd::{Pid, getpid};

use super::descend::parent_of;
use super::journal::{Journal, Level};
use super::message::Limits;

/// The period over which the kernel counts the time of processors, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// The controllers that limits need.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];
/// Parents that are followed up to the launcher.
const ANCESTORS_MAX: usize = 64;

/// The control groups of a launcher.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// The name of this launcher's group, which tells it apart from those of others.
    name: String,
    /// The group to make groups in; none before the first start, and where there is none.
    base: Option<Option<PathBuf>>,
    /// Whether limits can be set, or why not; none before the first service with limits.
    limited: Option<Result<(), String>>,
    /// Whether the launcher has said that it can set no limits.
    told: bool,
}

/// Two files of a control group.
#[derive(Debug)]
pub(super) struct Group {
    /// A process joins by writing its number here.
    pub(super) procs: OwnedFd,
    /// Writing here kills all that is in it; none before Linux 5.14.
    pub(super) kill: Option<OwnedFd>,
}

impl Cgroups {
    pub(super) fn new(name: &str) -> Self {
        Self { name: format!("annulus-{name}-{}", getpid()), base: None, limited: None, told: false }
    }

    /// The group of this launcher's services.
    fn own(&mut self) -> Option<PathBuf> {
        let name = &self.name;
        let base = self.base.get_or_insert_with(|| {
            let base = own_group()?;
            remove_stale(&base);
            fs::create_dir_all(base.join(name)).ok()?;
            Some(base)
        });
        base.as_ref().map(|base| base.join(name))
    }

    /// The directory of a service's group; none where there are no groups.
    fn group(&self, service: &str) -> Option<PathBuf> {
        Some(self.base.as_ref()?.as_ref()?.join(&self.name).join(service))
    }

    /// Makes the group of a service; returns the file by which all of it is killed.
    pub(super) fn make(&mut self, service: &str) -> Option<OwnedFd> {
        let group = self.own()?.join(service);
        fs::create_dir_all(&group).ok()?;
        kill_file(&group)
    }

    /// The group of what a service starts, with its limits.
    pub(super) fn run(&mut self, service: &str, limits: Limits, journal: &mut Journal) -> Option<Group> {
        let group = self.group(service);
        if let Err(reason) = self.limit(group.as_deref(), limits)
            && !self.told
        {
            self.told = true;
            let text = format!(
                "limits of memory, cpu and pids are not in force, for {service} and others: {reason}; they need a \
                 control group (version 2) that belongs to this process, as systemd's Delegate=yes gives"
            );
            journal.report(Level::Warn, &text);
        }
        open(&group?.join("run"))
    }

    fn limit(&mut self, group: Option<&Path>, limits: Limits) -> Result<(), String> {
        if limits.is_empty() {
            return Ok(());
        }
        let none = || "this host gives the launcher no control group of version 2".to_owned();
        let (group, base) = (group.ok_or_else(none)?, self.base.as_ref().and_then(Option::as_ref));
        let (base, name) = (base.ok_or_else(none)?, &self.name);
        self.limited.get_or_insert_with(|| enable(base, name).map_err(|error| error.to_string())).clone()?;
        let set = control(group, "cgroup.subtree_control", &all_controllers())
            .and_then(|()| set_limits(&group.join("run"), limits));
        set.map_err(|error| error.to_string())
    }

    /// The group of a hook.
    pub(super) fn hook(&self, service: &str, number: u64) -> Option<Group> {
        open(&self.group(service)?.join(format!("hook-{number}")))
    }

    /// Removes the group of a hook that has ended.
    pub(super) fn leave_hook(&self, service: &str, number: u64) {
        if let Some(group) = self.group(service) {
            // One that cannot be removed yet goes with the service's group.
            let _ = fs::remove_dir(group.join(format!("hook-{number}")));
        }
    }

    /// Kills all processes of a service; false when it has no group that can be killed.
    pub(super) fn kill(&self, service: &str) -> bool {
        self.group(service).is_some_and(|group| fs::write(group.join("cgroup.kill"), "1").is_ok())
    }

    /// Whether no process is left in the group of a service.
    pub(super) fn is_empty(&self, service: &str) -> bool {
        let events =
            self.group(service).and_then(|group| fs::read_to_string(group.join("cgroup.events")).ok());
        events.is_none_or(|events| events.lines().any(|line| line == "populated 0"))
    }

    /// Removes the group of a service whose processes have ended.
    pub(super) fn leave(&self, service: &str) {
        if let Some(group) = self.group(service) {
            // A group that cannot be removed yet is used again by the next start.
            remove_tree(&group);
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Some(Some(base)) = &self.base {
            remove_tree(&base.join(&self.name));
        }
    }
}

/// Removes a group and the groups in it, as far as no process is in them.
fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Removes what launchers left behind that were killed.
fn remove_stale(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let launcher = name.to_str().and_then(|name| {
            let name = name.strip_prefix("annulus-")?;
            name.strip_suffix(".supervisor").unwrap_or(name).rsplit_once('-')?.1.parse::<u32>().ok()
        });
        if launcher.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove_tree(&entry.path());
        }
    }
}

/// Makes a group, and opens the files of it.
fn open(group: &Path) -> Option<Group> {
    fs::create_dir_all(group).ok()?;
    let procs = OpenOptions::new().write(true).open(group.join("cgroup.procs")).ok()?;
    Some(Group { procs: procs.into(), kill: kill_file(group) })
}

fn kill_file(group: &Path) -> Option<OwnedFd> {
    OpenOptions::new().write(true).open(group.join("cgroup.kill")).ok().map(File::into)
}

/// The control group of this process.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    locate(&mounts, &groups)
}

fn all_controllers() -> String {
    CONTROLLERS.map(|name| format!("+{name}")).join(" ")
}

fn control(group: &Path, file: &str, text: &str) -> io::Result<()> {
    let path = group.join(file);
    fs::write(&path, text)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Prepares the launcher's own group for children with limits.
fn enable(base: &Path, name: &str) -> io::Result<()> {
    let here = |what: &str| {
        let place = base.join(what).display().to_string();
        move |error: io::Error| io::Error::new(error.kind(), format!("{place}: {error}"))
    };
    let controllers = base.join("cgroup.controllers");
    let offered = fs::read_to_string(&controllers).map_err(here("cgroup.controllers"))?;
    if let Some(lacking) =
        CONTROLLERS.iter().find(|name| !offered.split_whitespace().any(|offer| offer == **name))
    {
        return Err(io::Error::other(format!("{} does not name {lacking}", controllers.display())));
    }
    let beside = base.join(format!("{name}.supervisor"));
    fs::create_dir_all(&beside).map_err(here(name))?;
    let procs = fs::read_to_string(base.join("cgroup.procs")).map_err(here("cgroup.procs"))?;
    for pid in procs.split_whitespace().filter(|pid| is_ours(pid)) {
        fs::write(beside.join("cgroup.procs"), pid).map_err(here("cgroup.procs"))?;
    }
    control(base, "cgroup.subtree_control", &all_controllers())?;
    control(&base.join(name), "cgroup.subtree_control", &all_controllers())
}

/// Whether a process is the launcher or descends from it.
fn is_ours(pid: &str) -> bool {
    let Ok(pid) = pid.parse().map(Pid::from_raw) else { return false };
    let ancestors = std::iter::successors(Some(pid), |pid| parent_of(*pid));
    ancestors.take(ANCESTORS_MAX).any(|pid| pid == getpid())
}

/// Where the control group of this process is mounted.
fn locate(mounts: &str, groups: &str) -> Option<PathBuf> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, at) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut words = before.split(' ').skip(3);
        (after.split(' ').next()? == "cgroup2").then(|| Some((words.next()?, words.next()?)))?
    })?;
    let below = Path::new(own).strip_prefix(root).ok()?;
    Some(Path::new(at).join(below))
}

fn set_limits(group: &Path, limits: Limits) -> io::Result<()> {
    let here = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", group.display()));
    fs::create_dir_all(group).map_err(here)?;
    let or_max = |value: Option<u64>| value.map_or_else(|| "max".to_owned(), |value| value.to_string());
    let quota_us = limits.cpu_millis.map(|millis| millis.saturating_mul(CPU_PERIOD_US) / 1_000);
    for (file, text) in [
        ("memory.max", or_max(limits.memory_bytes)),
        ("cpu.max", format!("{} {CPU_PERIOD_US}", or_max(quota_us))),
        ("pids.max", or_max(limits.pids)),
    ] {
        fs::write(group.join(file), text).map_err(here)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_below_its_mount() {
        let mounts = "23 1 0:2 / /proc rw - proc proc rw\n\
                      41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";
        let unit = "/system.slice/annulus.service";
        let path = locate(mounts, &format!("1:cpu:/\n0::{unit}\n"));
        assert_eq!(path, Some(PathBuf::from(format!("/sys/fs/cgroup{unit}"))));
        let bound = mounts.replace(" / /sys", &format!(" {unit} /sys"));
        assert_eq!(locate(&bound, &format!("0::{unit}\n")), Some(PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(locate("", "0::/\n"), None);
        assert_eq!(locate(mounts, "4:memory:/a\n"), None);
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let base = tempfile::tempdir().expect("a directory");
        let dir = base.path().join("web/run");
        let limits = Limits { memory_bytes: Some(512 << 20), cpu_millis: Some(1_500), pids: None };
        set_limits(&dir, limits).expect("a group");
        let read = |name: &str| fs::read_to_string(dir.join(name)).expect("written");
        assert_eq!(read("memory.max"), "536870912");
        assert_eq!(read("cpu.max"), "150000 100000");
        assert_eq!(read("pids.max"), "max");
    }

    #[test]
    fn a_group_without_the_controllers_is_named_before_anything_moves() {
        let base = tempfile::tempdir().expect("a directory");
        fs::write(base.path().join("cgroup.controllers"), "cpu memory\n").expect("written");
        let error = enable(base.path(), "annulus-default-1").expect_err("no pids");
        assert!(error.to_string().contains("pids"), "{error}");
        assert_eq!(fs::read_dir(base.path()).expect("readable").count(), 1);
    }
}
