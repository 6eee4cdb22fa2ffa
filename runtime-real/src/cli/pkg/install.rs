//! `annulus pkg install FILE|IDENT…`: installs packages with what they need, from files, the artifact cache, or a depot. A
//! depot is asked only where one is named.

use std::path::Path;
use std::time::Duration;

use annulus_core::PackageIdent;
use clap::builder::FalseyValueParser;

use super::{print, sys};
use crate::cli::depot::options::{ChannelOption, DepotOptions};
use crate::cli::depot::progress::Progress;
use crate::cli::{CliError, Outcome, block_on};
use crate::depot::{Error, Fetching, UNSTABLE};
use crate::host::root::Root;
use crate::package::{self, Limits, Source};
use crate::prepare::{self, Allowed, HOOK_TIMEOUT, HookRun, Patient};
use crate::sup_run::options::ALLOW_ROOT_ENV;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Package files, or packages of which a depot or cache/artifacts of the root has a file
    #[arg(value_name = "FILE|IDENT", required = true)]
    packages: Vec<String>,
    /// Do not run install hooks; they run before a service of the package starts
    #[arg(long)]
    ignore_install_hook: bool,
    /// Install hooks may run as root where the user of the package's service is missing
    #[arg(long, env = ALLOW_ROOT_ENV, value_parser = FalseyValueParser::new())]
    allow_root: bool,
    /// Kill an install hook that takes longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = HOOK_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    hook_timeout: u64,
    #[command(flatten)]
    downloads: Downloads,
}

/// From where packages are brought.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Depot")]
pub(in crate::cli) struct Downloads {
    #[command(flatten)]
    channel: ChannelOption,
    #[command(flatten)]
    depot: DepotOptions,
    /// Trust this key of an origin, which was compared with its owner: KEY=FINGERPRINT, as the refusal shows it
    #[arg(long, value_name = "KEY=FINGERPRINT")]
    trust: Vec<String>,
    /// Refuse what a channel holds when it was last confirmed long ago
    #[arg(long)]
    require_fresh: bool,
}

impl Downloads {
    /// Brings what a depot has for an ident, where a depot is named and this host does not have that very build. Returns the
    /// build that is to be installed.
    pub(in crate::cli) fn bring(&self, root: &Root, ident: &PackageIdent) -> Result<PackageIdent, CliError> {
        if !self.depot.is_named() || (ident.is_fully_qualified() && package::newest(root, ident).is_ok()) {
            return Ok(ident.clone());
        }
        let (client, channel) = (self.depot.client()?, self.channel.name()?);
        // One build that is named is meant, whichever channel it is in.
        let channel = if ident.is_fully_qualified() { UNSTABLE } else { channel };
        let mut progress = Progress::default();
        block_on(async {
            let mut fetching =
                Fetching::new(root, &client, &mut progress).with_trust(&self.trust, self.require_fresh);
            let Some(wanted) = fetching.look(ident, channel, None).await?.newest else {
                return Err(Error::NotFound(format!(
                    "the channel {channel} of {} at {} has no {ident}{}",
                    ident.origin(),
                    client.url(),
                    if channel == UNSTABLE { "" } else { "; another channel is named with --channel" }
                ))
                .into());
            };
            fetching.bring(&wanted).await?;
            Ok(wanted.ident)
        })
    }
}

pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let timeout = (!args.ignore_install_hook).then(|| Duration::from_secs(args.hook_timeout));
    for text in &args.packages {
        let source = match source(text) {
            Source::Ident(ident) => Source::Ident(args.downloads.bring(root, &ident)?),
            file => file,
        };
        install(root, &source, timeout, args.allow_root)?;
    }
    Ok(0)
}

/// Names a file where there is one of this name, else a package if the text can be one.
fn source(text: &str) -> Source {
    let path = Path::new(text);
    match text.parse::<PackageIdent>() {
        Ok(ident) if !path.is_file() => Source::Ident(ident),
        _ => Source::File(path.to_owned()),
    }
}

/// Installs a package with what it needs, runs the install hooks unless they are to run later, prints each package,
/// and returns the one that was asked for.
pub(in crate::cli) fn install(
    root: &Root,
    source: &Source,
    hooks: Option<Duration>,
    allow_root: bool,
) -> Result<PackageIdent, CliError> {
    let done = package::install(root, source, Limits::default())?;
    for outcome in &done {
        let what = if outcome.already { "is installed already, in" } else { "is installed in" };
        print(&format!("{} {what} {}\n", outcome.ident, outcome.path.display()));
    }
    let ident = done.into_iter().next_back().expect("an install that succeeds has done something").ident;
    if let Some(timeout) = hooks {
        let package = package::newest(root, &ident)?;
        let mut say = |ident: &PackageIdent, line: &str| print(&format!("{}: {line}\n", ident.name()));
        let sys = sys();
        let allowed = Allowed { root: allow_root, ..Allowed::default() };
        let mut run =
            HookRun { root, sys: &sys, allowed: &allowed, timeout, overseer: &Patient, say: &mut say };
        prepare::run_install_hooks(&mut run, &package)?;
    }
    Ok(ident)
}
