//! The common part of the commands about a service group: which supervisor they ask, how they send a version, and how
//! they wait until it is in effect. Holds no command itself.

mod seal;
mod wait;

use annulus_core::limits::VERSION_MAX;
use annulus_core::{CommandError, ServiceGroup};

use super::target::{self, Remote, TlsOptions};
use super::{CliError, Global, output};
use crate::gateway::ctl::client::{Client, ClientError};
use crate::gateway::ctl::group::WARNING;
use crate::gateway::ctl::group_message::{GroupQuery, GroupStatus};
use crate::gateway::ctl::message::CtlMessage;
use crate::gateway::ctl::ring_message::{FilesQuery, GroupFile, GroupFiles};
pub(crate) use seal::Seal;
pub(crate) use wait::Wait;

pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed · 2 wrong usage, not TOML, empty or too \
     large · 3 no supervisor runs · 7 wrong or no ctl secret · 8 the version is not higher than the current one, or lies too \
     far above it · 9 (--wait) not in effect on \
     every alive member in time";

/// The number of a version, as operators give it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Number {
    /// The version's number, from 1 to 4611686018427387904 (2^62): higher than the current one, so the time in seconds
    /// (`date +%s`) will do
    #[arg(id = "number", value_name = "VERSION", value_parser = number)]
    pub(crate) version: u64,
    /// Take a number also if it lies more than 2^45 above the current one. Every later one has to be higher still, and
    /// what members do not believe today, so that it can be replaced, is refused all the same
    #[arg(long)]
    pub(crate) allow_leap: bool,
}

fn number(text: &str) -> Result<u64, CommandError> {
    let number = text.parse().ok().filter(|number| (1..=VERSION_MAX).contains(number));
    number.ok_or(CommandError::VersionRange)
}

/// The member through which a version reaches the ring.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Through {
    /// Address of a supervisor's ctl gateway [default: HAB_LISTEN_CTL, else the socket of the local supervisor of this root
    /// and name]
    #[arg(long, value_name = "HOST[:9632]")]
    remote_sup: Option<String>,
    /// The ring of that supervisor: what is said to an address is sealed with its newest key in the key cache. HAB_RING_KEY holds
    /// a key instead
    #[arg(short, long, env = "HAB_RING", value_name = "NAME")]
    ring: Option<String>,
    #[command(flatten)]
    tls: TlsOptions,
    /// Any member of the ring, as an address for gossip; its ctl gateway is asked at the usual port
    #[arg(long, value_name = "HOST[:9638]", conflicts_with = "remote_sup")]
    peer: Option<String>,
}

impl Through {
    pub(crate) fn remote(&self) -> Remote {
        let at =
            self.peer.as_deref().map(|peer| host_of(peer).to_owned()).or_else(|| self.remote_sup.clone());
        Remote::of(at, self.ring.clone(), self.tls.clone())
    }

    /// Connects to that member. One that is named by its address for gossip may listen for commands on its own host alone.
    pub(crate) async fn connect(&self, global: &Global) -> Result<Client, CliError> {
        let connected = target::connect(global, &self.remote()).await;
        match (connected, &self.peer) {
            (Err(CliError::Client(ClientError::NotRunning { addr })), Some(peer)) => {
                Err(CliError::NoCtlAtPeer { peer: peer.clone(), addr })
            }
            (connected, _) => connected,
        }
    }
}

/// An address without its port.
fn host_of(addr: &str) -> &str {
    match addr.rsplit_once(':') {
        // More than one colon without brackets is an IPv6 address alone.
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => {
            host.trim_start_matches('[').trim_end_matches(']')
        }
        _ => addr.trim_start_matches('[').trim_end_matches(']'),
    }
}

/// Gives a version to a supervisor; the answer comes once the version is on that supervisor's disk.
pub(crate) async fn send(
    global: &Global,
    through: &Through,
    request: &impl CtlMessage,
) -> Result<(), CliError> {
    let client = through.connect(global).await?;
    output::line(format_args!("↑ Applying to {}", client.addr()));
    let show = |line: &str| match line.starts_with(WARNING) {
        true => eprintln!("{line}"),
        false => output::line(line),
    };
    match client.request(request, show).await {
        Err(ClientError::Refused(refusal)) if refusal.current_version.is_some() => {
            Err(CliError::OldVersion(refusal.msg))
        }
        other => Ok(other?),
    }
}

/// The same without a word about it.
pub(crate) async fn give(
    global: &Global,
    through: &Through,
    request: &impl CtlMessage,
) -> Result<(), CliError> {
    let client = through.connect(global).await?;
    match client.request(request, |line| eprintln!("{line}")).await {
        Err(ClientError::Refused(refusal)) if refusal.current_version.is_some() => {
            Err(CliError::OldVersion(refusal.msg))
        }
        other => Ok(other?),
    }
}

/// Asks a supervisor what it knows of a group's configuration, or of one of the group's files.
pub(crate) async fn query(
    global: &Global,
    through: &Through,
    group: &ServiceGroup,
    file: Option<&str>,
    is_sealed: Option<bool>,
) -> Result<GroupStatus, CliError> {
    let filename = file.map(str::to_owned);
    let request = GroupQuery { service_group: Some(group.into()), filename, body: false, is_sealed };
    let client = through.connect(global).await?;
    let answers: Vec<GroupStatus> = client.query(&request).await?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

/// Asks a supervisor which files a group has.
pub(crate) async fn files(
    global: &Global,
    through: &Through,
    group: &ServiceGroup,
) -> Result<Vec<GroupFile>, CliError> {
    let request = FilesQuery { service_group: Some(group.into()) };
    let answers: Vec<GroupFiles> = through.connect(global).await?.query(&request).await?;
    Ok(answers.into_iter().next().unwrap_or_default().files)
}

#[cfg(test)]
mod tests {
    use super::{host_of, number};

    #[test]
    fn a_version_has_one_range() {
        for (text, version) in [("1", 1), ("4611686018427387904", 1 << 62)] {
            assert_eq!(number(text), Ok(version));
        }
        for text in
            ["0", "-1", "1.5", "", "4611686018427387905", "18446744073709551615", "99999999999999999999"]
        {
            let error = number(text).expect_err(text).to_string();
            assert_eq!(error, "a version is a number from 1 to 4611686018427387904 (2^62)");
        }
    }

    #[test]
    fn a_peer_is_a_host() {
        for (addr, host) in [
            ("alpha", "alpha"),
            ("alpha:9638", "alpha"),
            ("10.0.0.1:9638", "10.0.0.1"),
            ("[::1]:9638", "::1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(host_of(addr), host, "{addr}");
        }
    }
}
