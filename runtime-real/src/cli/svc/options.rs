//! The options of a service, which `svc load`, `svc update`, `start` and `sup run` have in common. Makes requests of
//! them, and sends none.

use std::path::PathBuf;

use annulus_core::limits::ELECTORATE_MAX;
use annulus_core::{BindingMode, PackageIdent, Topology, UpdateCondition, UpdateStrategy};

use crate::cli::{CliError, Global, block_on, output};
use crate::depot;
use crate::depot::client::{CHANNEL_ENV, URL_ENV};
use crate::gateway::ctl::convert;
use crate::gateway::ctl::message::{HealthCheckInterval, ServiceBind, ServiceBindList, SvcLoad, SvcUpdate};

/// An absent option takes its default, or keeps its value in a service that is loaded already.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(in crate::cli) struct SpecOptions {
    /// The channel from which the package and its updates come [default: HAB_BLDR_CHANNEL, else stable]
    #[arg(long, value_name = "CHANNEL", value_parser = no_option, help_heading = "Service")]
    channel: Option<String>,
    /// Address of the depot from which the package is brought where it is not installed, and its updates [default: HAB_BLDR_URL
    /// of this command for the package, of the supervisor for updates; without it no depot is asked]
    #[arg(short, long, value_name = "URL", value_parser = no_option, help_heading = "Service")]
    url: Option<String>,
    /// The service group's name, also as SERVICE.GROUP [default: default]
    #[arg(long, value_name = "GROUP", value_parser = group, help_heading = "Service")]
    group: Option<String>,
    /// standalone, or leader: the group elects one [default: standalone]
    #[arg(short, long, value_name = "TOPOLOGY", value_parser = word::<Topology>, help_heading = "Service")]
    topology: Option<Topology>,
    /// With topology leader: an election counts at least so many members, also while fewer are known, so that a
    /// majority of them has to agree; 0 is the default of three
    #[arg(long, value_name = "N", help_heading = "Service")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=i64::from(ELECTORATE_MAX as u32)))]
    quorum: Option<u32>,
    /// When to take a newer package: none, at-once or rolling [default: none]
    #[arg(short, long, value_name = "STRATEGY", value_parser = word::<UpdateStrategy>, help_heading = "Service")]
    strategy: Option<UpdateStrategy>,
    /// Which package is newer: latest or track-channel [default: latest]
    #[arg(long, value_name = "CONDITION", value_parser = word::<UpdateCondition>, help_heading = "Service")]
    update_condition: Option<UpdateCondition>,
    /// A bind and the group it is bound to, name:service.group[@org]; may be repeated
    #[arg(long = "bind", value_name = "NAME:GROUP", value_parser = bind, help_heading = "Service")]
    binds: Vec<ServiceBind>,
    /// What an unsatisfied bind does: strict waits, relaxed starts without [default: strict]
    #[arg(long, value_name = "MODE", value_parser = word::<BindingMode>, help_heading = "Service")]
    binding_mode: Option<BindingMode>,
    /// Seconds between health checks [default: 30]
    #[arg(short = 'i', long, value_name = "SECONDS", help_heading = "Service")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    health_check_interval: Option<u32>,
    /// Seconds from the stop signal until a stopping service is killed [default: the package's]
    #[arg(long, value_name = "SECONDS", help_heading = "Service")]
    shutdown_timeout: Option<u32>,
    /// Take default.toml, config/ and hooks/ from this directory instead of the package's
    #[arg(long, value_name = "DIR", help_heading = "Service")]
    config_from: Option<PathBuf>,
}

/// A variable's value; empty counts as unset.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Parses a word of a closed set; the error lists the words.
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

/// A name that looks like an option, or is none, was not meant.
fn no_option(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it is empty; leave the option out for its default".to_owned())
    } else if text.starts_with('-') {
        Err("it begins with a hyphen, as options do".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// GROUP, SERVICE.GROUP, or what later checks have better words for.
fn group(text: &str) -> Result<String, String> {
    let text = no_option(text)?;
    let name = text.rsplit_once('.').map_or(text.as_str(), |(_, name)| name);
    no_option(name).map(|_| text.clone())
}

fn bind(text: &str) -> Result<ServiceBind, String> {
    convert::bind(text)
        .ok_or_else(|| "a bind is written name:service.group or name:service.group@org".to_owned())
}

impl SpecOptions {
    /// Whether no option was given.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The request that loads `ident` with these options.
    ///
    /// # Errors
    /// A relative directory, while the working directory is gone.
    pub(in crate::cli) fn load(&self, ident: &PackageIdent, force: bool) -> Result<SvcLoad, CliError> {
        Ok(SvcLoad {
            ident: Some(ident.into()),
            binds: self.binds(),
            bldr_url: self.depot_url(force),
            bldr_channel: self.channel(force),
            config_from: self.config_from()?,
            force: Some(force),
            group: self.group(ident)?,
            svc_encrypted_password: None,
            topology: self.topology.and_then(convert::topology_number),
            update_strategy: self.strategy.and_then(convert::strategy_number),
            binding_mode: self.binding_mode.and_then(convert::binding_mode_number),
            health_check_interval: self.interval(),
            shutdown_timeout: self.shutdown_timeout,
            update_condition: self.update_condition.and_then(convert::condition_number),
            quorum: self.quorum,
        })
    }

    /// The request that changes these options of a loaded service and no others.
    ///
    /// # Errors
    /// A relative directory, while the working directory is gone.
    pub(in crate::cli) fn update(&self, ident: &PackageIdent) -> Result<SvcUpdate, CliError> {
        Ok(SvcUpdate {
            ident: Some(ident.into()),
            binds: self.binds(),
            binding_mode: self.binding_mode.and_then(convert::binding_mode_number),
            bldr_url: self.url.clone(),
            bldr_channel: self.channel.clone(),
            group: self.group(ident)?,
            svc_encrypted_password: None,
            topology: self.topology.and_then(convert::topology_number),
            update_strategy: self.strategy.and_then(convert::strategy_number),
            health_check_interval: self.interval(),
            shutdown_timeout: self.shutdown_timeout,
            update_condition: self.update_condition.and_then(convert::condition_number),
            config_from: self.config_from()?,
            quorum: self.quorum,
            to: None,
        })
    }

    /// The depot that is named, also by the environment: unless options of a loaded service change, where only what is said on
    /// the command line is meant.
    fn depot_url(&self, force: bool) -> Option<String> {
        self.url.clone().or_else(|| variable(URL_ENV).filter(|_| !force))
    }

    fn channel(&self, force: bool) -> Option<String> {
        self.channel.clone().or_else(|| variable(CHANNEL_ENV).filter(|_| !force))
    }

    /// Brings the package from the depot that is named, where none that fits is installed: for a supervisor that does not run
    /// yet.
    ///
    /// # Errors
    /// The depot cannot be asked or has none, or it cannot be installed.
    pub(in crate::cli) fn bring(&self, global: &Global, ident: &PackageIdent) -> Result<(), CliError> {
        let root = global.root()?;
        let Some(url) = self.depot_url(false).filter(|url| !url.trim().is_empty()) else { return Ok(()) };
        url.parse::<depot::client::Url>()?;
        if crate::package::newest(&root, ident).is_ok() {
            return Ok(());
        }
        let channel = self.channel(false).unwrap_or_else(|| depot::STABLE.to_owned());
        let brought = block_on(async { Ok(depot::install_newest(&root, &url, &channel, ident).await?) })?;
        output::line(format_args!("{brought} is installed from {url}"));
        Ok(())
    }

    /// The name of the group, which may be given with that of the service before it.
    fn group(&self, ident: &PackageIdent) -> Result<Option<String>, CliError> {
        let Some((service, group)) = self.group.as_deref().and_then(|group| group.split_once('.')) else {
            return Ok(self.group.clone());
        };
        let text = format!("{service}.{group}");
        if service != ident.name() {
            let name = ident.name();
            return Err(CliError::Usage(format!(
                "--group {text} is a group of the service {service}, and {ident} is the service {name}: write {name}.GROUP, or \
                 the group alone"
            )));
        }
        if group.contains('@') {
            return Err(CliError::Usage(format!(
                "--group {text}: the organization is the supervisor's; give it with --org when that starts"
            )));
        }
        Ok(Some(group.to_owned()))
    }

    fn binds(&self) -> Option<ServiceBindList> {
        (!self.binds.is_empty()).then(|| ServiceBindList { binds: self.binds.clone() })
    }

    fn interval(&self) -> Option<HealthCheckInterval> {
        self.health_check_interval.map(|seconds| HealthCheckInterval { seconds: u64::from(seconds) })
    }

    /// Makes the path absolute, because the supervisor has a working directory of its own. An empty path stays empty.
    fn config_from(&self) -> Result<Option<String>, CliError> {
        let Some(dir) = &self.config_from else { return Ok(None) };
        if dir.as_os_str().is_empty() {
            return Ok(Some(String::new()));
        }
        let dir = std::path::absolute(dir).map_err(CliError::io("--config-from"))?;
        Ok(Some(dir.display().to_string()))
    }
}
