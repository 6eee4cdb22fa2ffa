//! `annulus svc load IDENT|FILE`.

use std::path::{Path, PathBuf};

use annulus_core::{BindingMode, PackageIdent, Topology, UpdateCondition, UpdateStrategy};

use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output, pkg};
use crate::ctl::convert;
use crate::ctl::message::{HealthCheckInterval, ServiceBindList, SvcLoad};
use crate::package::{HOOK_TIMEOUT, Source};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What to run: origin/name[/version[/release]], or a .hart file, which is installed first
    #[arg(value_name = "IDENT|FILE")]
    package: String,
    /// Replace the options of a service that is loaded already; options not given stay as they are
    #[arg(short, long)]
    force: bool,
    /// Where updates come from [default: stable]
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Address of the package store
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// The service group's name [default: default]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// standalone, or leader: the group elects one [default: standalone]
    #[arg(short, long, value_name = "TOPOLOGY", value_parser = word::<Topology>)]
    topology: Option<Topology>,
    /// When to take a newer package: none, at-once or rolling [default: none]
    #[arg(short, long, value_name = "STRATEGY", value_parser = word::<UpdateStrategy>)]
    strategy: Option<UpdateStrategy>,
    /// Which package is newer: latest or track-channel [default: latest]
    #[arg(long, value_name = "CONDITION", value_parser = word::<UpdateCondition>)]
    update_condition: Option<UpdateCondition>,
    /// A bind and the group it is bound to, name:service.group[@org]; may be repeated
    #[arg(long = "bind", value_name = "NAME:GROUP", value_parser = bind)]
    binds: Vec<crate::ctl::message::ServiceBind>,
    /// What an unsatisfied bind does: strict waits, relaxed starts without [default: strict]
    #[arg(long, value_name = "MODE", value_parser = word::<BindingMode>)]
    binding_mode: Option<BindingMode>,
    /// Seconds between health checks [default: 30]
    #[arg(short = 'i', long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    health_check_interval: Option<u32>,
    /// Seconds until a stopping service is killed [default: the package's]
    #[arg(long, value_name = "SECONDS")]
    shutdown_timeout: Option<u32>,
    /// Take default.toml, config/ and hooks/ from this directory instead of the package's
    #[arg(long, value_name = "DIR")]
    config_from: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// Parses one of the words of a closed set and, failing that, lists them.
fn word<T: Word>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("use one of: {}", T::words()))
}

trait Word: std::str::FromStr + Clone + Send + Sync + 'static {
    fn words() -> String;
}

macro_rules! word {
    ($($name:ident),+) => {
        $(impl Word for $name {
            fn words() -> String {
                Self::ALL.iter().map(|value| value.name()).collect::<Vec<_>>().join(", ")
            }
        })+
    };
}

word!(Topology, UpdateStrategy, UpdateCondition, BindingMode);

fn bind(text: &str) -> Result<crate::ctl::message::ServiceBind, String> {
    convert::bind(text)
        .ok_or_else(|| "a bind is written name:service.group or name:service.group@org".to_owned())
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let ident = ident(global, &args.package)?;
    let request = request(&ident, args)?;
    block_on(async {
        target::connect(global, &args.remote).await?.request(&request, |line| output::line(line)).await?;
        Ok(0)
    })
}

/// The package that is meant; a file is installed first.
fn ident(global: &Global, text: &str) -> Result<PackageIdent, CliError> {
    let path = Path::new(text);
    if path.extension().is_some_and(|extension| extension == "hart") {
        return Ok(pkg::install(&global.root()?, &Source::File(path.to_owned()), Some(HOOK_TIMEOUT))?);
    }
    text.parse()
        .map_err(|error| CliError::Usage(format!("{text:?} is neither a package nor a .hart file: {error}")))
}

fn request(ident: &PackageIdent, args: &Args) -> Result<SvcLoad, CliError> {
    // The supervisor has a working directory of its own.
    let config_from = args.config_from.as_deref().map(std::path::absolute).transpose();
    let config_from = config_from.map_err(CliError::io("--config-from"))?;
    Ok(SvcLoad {
        ident: Some(ident.into()),
        binds: (!args.binds.is_empty()).then(|| ServiceBindList { binds: args.binds.clone() }),
        bldr_url: args.url.clone(),
        bldr_channel: args.channel.clone(),
        config_from: config_from.map(|path| path.display().to_string()),
        force: Some(args.force),
        group: args.group.clone(),
        svc_encrypted_password: None,
        topology: args.topology.and_then(convert::topology_number),
        update_strategy: args.strategy.and_then(convert::strategy_number),
        binding_mode: args.binding_mode.and_then(convert::binding_mode_number),
        health_check_interval: args
            .health_check_interval
            .map(|s| HealthCheckInterval { seconds: u64::from(s) }),
        shutdown_timeout: args.shutdown_timeout,
        update_condition: args.update_condition.and_then(convert::condition_number),
    })
}
