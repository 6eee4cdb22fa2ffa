//! `annulus svc maintenance on|off IDENT`: puts a service into maintenance, or ends it. Never stops the service.

use annulus_core::PackageIdent;
use clap::Subcommand;

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::message::SvcMaintain;

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Let a service run but take no new work, also after restarts, until `off`
    On {
        /// The service's package, origin/name
        ident: PackageIdent,
        /// The reason, which status and gateways show
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// End a service's maintenance
    Off {
        /// The service's package, origin/name
        ident: PackageIdent,
        #[command(flatten)]
        remote: Remote,
    },
}

/// It is shown on one line of tables and logs, on this host and others.
fn reason(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        Err("a reason has words")
    } else if text.chars().any(char::is_control) {
        Err("a reason is one line without control characters")
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn run(global: &Global, command: &Command) -> Outcome {
    let (ident, reason, remote) = match command {
        Command::On { ident, reason, remote } => (ident, Some(reason.clone()), remote),
        Command::Off { ident, remote } => (ident, None, remote),
    };
    let request = SvcMaintain { ident: Some(ident.into()), reason };
    block_on(async {
        target::connect(global, remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}
