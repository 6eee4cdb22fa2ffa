//! The common part of the commands about a service group: which supervisor they ask, how they send a version, and how
//! they wait until it is in effect. Holds no command itself.

mod wait;

use annulus_core::ServiceGroup;

use super::target::{self, Remote};
use super::{CliError, Global, output};
use crate::gateway::ctl::client::ClientError;
use crate::gateway::ctl::group_message::{GroupQuery, GroupStatus};
use crate::gateway::ctl::message::CtlMessage;
pub(crate) use wait::Wait;

pub(crate) const EXIT_CODES: &str = "Exit codes: 0 done · 1 failed · 2 wrong usage, not TOML or too large · 3 no supervisor \
     runs · 7 wrong or no ctl secret · 8 the version is not higher than the current one · 9 (--wait) not every alive \
     member has applied it in time";

/// The member through which a version reaches the ring.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Through {
    #[command(flatten)]
    remote: Remote,
    /// Any member of the ring, as an address for gossip; its ctl gateway is asked at the usual port
    #[arg(long, value_name = "HOST[:9638]", conflicts_with = "remote_sup")]
    peer: Option<String>,
}

impl Through {
    fn remote(&self) -> Remote {
        match &self.peer {
            Some(peer) => Remote::at(host_of(peer)),
            None => self.remote.clone(),
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
    let client = target::connect(global, &through.remote()).await?;
    output::line(format_args!("↑ Applying to {}", client.addr()));
    match client.request(request, |line| output::line(line)).await {
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
) -> Result<GroupStatus, CliError> {
    let request =
        GroupQuery { service_group: Some(group.into()), filename: file.map(str::to_owned), body: false };
    let client = target::connect(global, &through.remote()).await?;
    let answers: Vec<GroupStatus> = client.query(&request).await?;
    Ok(answers.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::host_of;

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
