//! Puts each service that has limits into a control group (version 2) of its own. Never fails a start: where the host
//! allows no such group, the service runs without limits and the launcher says so once.
//!
//! The kernel's rule is that a group with limits for its children holds no process itself. So when the first service
//! with limits is started, the launcher moves itself, its supervisor and the running services into a group beside it.
//! That needs a group that was delegated to this process, as systemd does with `Delegate=yes`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::journal::{Journal, Level};
use super::message::Limits;

/// The period over which the kernel counts the time of processors, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// The control groups of a launcher.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// Part of the groups' names, which tells those of several launchers apart.
    name: String,
    /// The group to make groups in, or why there is none; none before the first service with limits.
    base: Option<Result<PathBuf, String>>,
    /// Whether the launcher has said that it can set no limits.
    told: bool,
}

impl Cgroups {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), base: None, told: false }
    }

    /// Makes the group of a service with its limits; a process joins by writing its pid to the file. None when the
    /// service has no limits, or the launcher can set none.
    pub(super) fn join(
        &mut self,
        service: &str,
        limits: Limits,
        running: &[Pid],
        journal: &mut Journal,
    ) -> Option<File> {
        if limits.is_empty() {
            return None;
        }
        let own = &self.name;
        let base = self.base.get_or_insert_with(|| enable(own, running).map_err(|error| error.to_string()));
        let made = match base {
            Ok(base) => make(&group(base, own, service), limits).map_err(|error| error.to_string()),
            Err(reason) => Err(reason.clone()),
        };
        match made {
            Ok(procs) => return Some(procs),
            Err(reason) if !self.told => {
                self.told = true;
                let text = format!(
                    "limits of memory, cpu and pids are not in force, for {service} and others: {reason}; they need a \
                     control group (version 2) that belongs to this process, as systemd's Delegate=yes gives"
                );
                journal.report(Level::Warn, &text);
            }
            Err(_) => {}
        }
        None
    }

    /// Kills the processes that are left in the group of a service, and removes the group.
    pub(super) fn leave(&mut self, service: &str) {
        if let Some(Ok(base)) = &self.base {
            let group = group(base, &self.name, service);
            if group.is_dir() {
                // Reaches processes that left the process group, too. Kernels before 5.14 have no such file.
                let _ = fs::write(group.join("cgroup.kill"), "1");
                // A group that cannot be removed yet is used again by the next start.
                let _ = fs::remove_dir(&group);
            }
        }
    }
}

fn group(base: &Path, own: &str, service: &str) -> PathBuf {
    base.join(format!("annulus-{own}-{service}"))
}

/// Prepares the launcher's own group for children with limits.
fn enable(own: &str, running: &[Pid]) -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let missing = || io::Error::other("this host has no control groups of version 2");
    let base = locate(&mounts, &groups).ok_or_else(missing)?;
    enable_at(&base, own, running)?;
    Ok(base)
}

fn enable_at(base: &Path, own: &str, running: &[Pid]) -> io::Result<()> {
    let here = |what: &str| {
        let place = base.join(what).display().to_string();
        move |error: io::Error| io::Error::new(error.kind(), format!("{place}: {error}"))
    };
    let controllers = base.join("cgroup.controllers");
    let offered = fs::read_to_string(&controllers).map_err(here("cgroup.controllers"))?;
    if let Some(lacking) =
        ["memory", "cpu", "pids"].iter().find(|name| !offered.split_whitespace().any(|o| o == **name))
    {
        return Err(io::Error::other(format!("{} does not name {lacking}", controllers.display())));
    }
    let beside = base.join(format!("annulus-{own}.supervisor"));
    fs::create_dir_all(&beside).map_err(here("annulus"))?;
    let procs = fs::read_to_string(base.join("cgroup.procs")).map_err(here("cgroup.procs"))?;
    for pid in procs.split_whitespace().filter(|pid| is_ours(pid, running)) {
        fs::write(beside.join("cgroup.procs"), pid).map_err(here("cgroup.procs"))?;
    }
    fs::write(base.join("cgroup.subtree_control"), "+memory +cpu +pids")
        .map_err(here("cgroup.subtree_control"))
}

/// Whether a process is the launcher, a child of it, or in the process group of a service.
fn is_ours(pid: &str, running: &[Pid]) -> bool {
    let Ok(pid) = pid.parse() else { return false };
    let (pid, this) = (Pid::from_raw(pid), nix::unistd::getpid());
    let group = nix::unistd::getpgid(Some(pid));
    pid == this || parent(pid) == Some(this) || group.is_ok_and(|group| running.contains(&group))
}

fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
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

fn make(group: &Path, limits: Limits) -> io::Result<File> {
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
    OpenOptions::new().write(true).open(group.join("cgroup.procs")).map_err(here)
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
        let dir = group(base.path(), "default", "web");
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("cgroup.procs"), "").expect("written");
        let limits = Limits { memory_bytes: Some(512 << 20), cpu_millis: Some(1_500), pids: None };
        make(&dir, limits).expect("a group");
        let read = |name: &str| fs::read_to_string(dir.join(name)).expect("written");
        assert_eq!(read("memory.max"), "536870912");
        assert_eq!(read("cpu.max"), "150000 100000");
        assert_eq!(read("pids.max"), "max");
    }

    #[test]
    fn a_group_without_the_controllers_is_named_before_anything_moves() {
        let base = tempfile::tempdir().expect("a directory");
        fs::write(base.path().join("cgroup.controllers"), "cpu memory\n").expect("written");
        let error = enable_at(base.path(), "default", &[]).expect_err("no pids");
        assert!(error.to_string().contains("pids"), "{error}");
        assert_eq!(fs::read_dir(base.path()).expect("readable").count(), 1);
    }
}
