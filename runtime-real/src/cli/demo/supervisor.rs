//! One supervisor of the demonstration: a child process with a root directory of its own. Never touches a supervisor
//! that the demonstration did not start.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};

use annulus_core::{PackageIdent, Topology};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::gateway::ctl::client::Client;
use crate::gateway::ctl::convert;
use crate::gateway::ctl::message::SvcLoad;
use crate::host::root::Root;
use crate::host::{entropy, exit};
use crate::supervisor::effect::process::die_with_parent;

/// Lines of a supervisor's log that are shown when it fails.
const LOG_LINES: usize = 12;

/// Free addresses on loopback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addrs {
    pub(super) gossip: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) ctl: SocketAddr,
    pub(super) service: SocketAddr,
}

/// Where the kernel says which ports it hands out.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Below those, so many ports are tried, and none below this one.
const PORTS_TRIED: u16 = 12_000;
const PORT_MIN: u16 = 10_000;

/// Finds free addresses for `count` supervisors, which listen there only later. The kernel hands out no such port to any
/// program meanwhile, unless it leaves too few others.
pub(super) fn free_addrs(count: usize) -> std::io::Result<Vec<Addrs>> {
    let range = fs::read_to_string(EPHEMERAL).unwrap_or_default();
    let end = range.split_whitespace().next().and_then(|low| low.parse::<u16>().ok()).unwrap_or_default();
    let begin = end.saturating_sub(PORTS_TRIED).max(PORT_MIN);
    let random = entropy::seed().map_or(0, |seed| u16::from_le_bytes([seed[0], seed[1]]));
    let span = end.saturating_sub(begin);
    let mut ports = (0..span).map(|n| begin + (n + random % span) % span);
    let mut held: Vec<(TcpListener, Option<UdpSocket>)> = Vec::new();
    let mut free = |with_udp: bool| loop {
        let port = ports.next();
        let tcp = match TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or_default())) {
            Ok(tcp) => tcp,
            Err(_) if port.is_some() => continue,
            Err(error) => return Err(error),
        };
        let addr = tcp.local_addr()?;
        match with_udp.then(|| UdpSocket::bind(addr)).transpose() {
            Ok(udp) => {
                held.push((tcp, udp));
                return Ok(addr);
            }
            // Another program has this port for UDP. The listener stays held, so that the next try gets another port.
            Err(error) if port.is_some() || held.len() < 64 => {
                tracing::debug!(%addr, %error, "port taken");
                held.push((tcp, None));
            }
            Err(error) => return Err(error),
        }
    };
    (0..count)
        .map(|_| {
            Ok(Addrs { gossip: free(true)?, http: free(false)?, ctl: free(false)?, service: free(false)? })
        })
        .collect()
}

/// How a supervisor is started beside where it listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    /// Whom it asks first.
    pub(super) peers: &'a [SocketAddr],
    /// Further options of `sup run`.
    pub(super) options: &'a [String],
}

/// The settings of the user's own supervisor must not reach those of the demonstration.
pub(super) fn without_own_settings(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("HAB_") || name.starts_with("ANNULUS_") {
            command.env_remove(variable);
        }
    }
}

/// Runs a command to its end, with this on its standard input.
pub(super) async fn output(mut command: Command, input: Option<&str>) -> std::io::Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn()?;
    if let Some((mut stdin, text)) = child.stdin.take().zip(input) {
        stdin.write_all(text.as_bytes()).await?;
    }
    child.wait_with_output().await
}

/// A supervisor, running or ended.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) name: &'static str,
    pub(super) root: Root,
    pub(super) addrs: Addrs,
    /// Its member id, known once it has answered.
    pub(super) member: String,
    child: Option<Child>,
    log: PathBuf,
}

impl Supervisor {
    /// Starts a supervisor; its root holds the package and the service's configuration already.
    pub(super) fn start(
        name: &'static str,
        root: Root,
        addrs: Addrs,
        start: &Start<'_>,
        program: &Path,
    ) -> Result<Self, String> {
        let log = root.path().join("supervisor.log");
        let file = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = file.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = Command::new(program);
        command.arg("--root").arg(root.path()).args(["sup", "run", "--allow-root"]);
        command.args(["--listen-gossip", &addrs.gossip.to_string()]);
        command.args(["--listen-http", &addrs.http.to_string()]);
        command.args(["--listen-ctl", &addrs.ctl.to_string()]);
        for peer in start.peers {
            command.args(["--peer", &peer.to_string()]);
        }
        command.args(start.options);
        without_own_settings(&mut command);
        // A process group of its own, so that Ctrl-C reaches only the demonstration, which then ends it in order. If
        // the demonstration is killed, the system tells this process to leave.
        command.process_group(0).kill_on_drop(true);
        die_with_parent(&mut command, Signal::SIGTERM);
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(|e| format!("{} cannot be run: {e}", program.display()))?;
        Ok(Self { name, root, addrs, member: String::new(), child: Some(child), log })
    }

    pub(super) fn running(&self) -> bool {
        self.child.is_some()
    }

    /// Its pid while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// How it ended, if it has; told once.
    pub(super) fn take_end(&mut self) -> Option<End> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(End::of(status))
    }

    /// Waits until it has ended.
    pub(super) async fn wait(&mut self) {
        if let Some(child) = self.child.as_mut() {
            // An error means that there is no process left to wait for.
            let _ = child.wait().await;
            self.child = None;
        }
    }

    /// Asks it to end; asked again, it hurries.
    pub(super) fn term(&self) {
        if let Some(pid) = self.pid() {
            term(pid);
        }
    }

    /// Kills it.
    pub(super) fn kill(&mut self) {
        if let Some(child) = self.child.as_mut() {
            let _ = child.start_kill();
        }
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| format!("    {line}\n")).collect()
    }

    /// Kills this supervisor at once, with its launcher and this service, as a power failure would.
    pub(super) async fn kill_all(&mut self, service: &str) {
        let read = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok();
        let supervisor = read(self.root.sup("default").pid_file());
        let service = read(self.root.path().join("svc").join(service).join("PID"));
        // The launcher first, because it would start the others again.
        for pid in self.pid().into_iter().chain(supervisor).chain(service) {
            if let Ok(pid) = i32::try_from(pid) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        self.wait().await;
    }

    /// Loads a service on it.
    pub(super) async fn load(&self, ident: &str, topology: Topology) -> Result<(), String> {
        let ident: PackageIdent = ident.parse().map_err(|e| format!("{ident}: {e}"))?;
        let topology = convert::topology_number(topology);
        let request = SvcLoad { ident: Some((&ident).into()), topology, ..SvcLoad::default() };
        let socket = self.root.sup("default").ctl_socket();
        let client = Client::connect_local(&socket).await.map_err(|e| e.to_string())?;
        client.request(&request, |_| {}).await.map_err(|e| e.to_string())
    }
}

/// Asks a supervisor that has not been waited for to end.
pub(super) fn term(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may have ended a moment ago.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// How a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It left the ring in order.
    Left,
    /// An operator banned it.
    Banned,
    /// It ended in another way.
    Died(ExitStatus),
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) if code == i32::from(exit::LEFT) => Self::Left,
            Some(code) if code == i32::from(exit::DEPARTED) => Self::Banned,
            _ => Self::Died(status),
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Left => "has left the ring and ended".to_owned(),
            Self::Banned => "is banned and has ended for good (exit code 86)".to_owned(),
            Self::Died(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("died with exit code {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "died".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_addresses_differ() {
        let addrs = free_addrs(3).expect("free ports");
        let mut all: Vec<_> = addrs.iter().flat_map(|a| [a.gossip, a.http, a.ctl, a.service]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 12);
    }

    #[test]
    fn ends_are_told_apart() {
        assert_eq!(End::of(ExitStatus::from_raw(0)), End::Left);
        assert_eq!(End::of(ExitStatus::from_raw(86 << 8)), End::Banned);
        assert_eq!(End::of(ExitStatus::from_raw(9)).text(), "was killed by signal 9");
    }
}
