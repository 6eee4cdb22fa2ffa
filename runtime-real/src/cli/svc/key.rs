//! `annulus svc key generate SERVICE.GROUP [ORG]`: makes the key for which users seal a group's configuration and files.
//! Never overwrites a key.

use annulus_core::ServiceGroup;
use clap::Subcommand;

use crate::cli::{CliError, Global, Outcome, key, output};
use crate::host::clock;
use crate::keys::KeyKind;

/// Commands about the keys of a service group.
#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Make a new key pair
    Generate {
        /// The service group
        #[arg(value_name = "SERVICE.GROUP")]
        group: ServiceGroup,
        /// Its organization, unless the group is written SERVICE.GROUP@ORG
        #[arg(value_name = "ORG", env = "HABITAT_ORG")]
        org: Option<String>,
    },
}

pub(super) fn run(global: &Global, command: Command) -> Outcome {
    let Command::Generate { group, org } = command;
    let group = with_org(group, org.as_deref().filter(|org| !org.is_empty()))?;
    let keys = key::cache(global)?;
    let id = keys.generate_service(&group, clock::wall())?;
    output::line(format_args!(
        "service group {group} has a new key pair, {id}, in {}: bring {} to every host that runs the group and keep it from \
         others, give {} to the users who configure it",
        keys.dir().display(),
        id.file_name(KeyKind::BoxSecret),
        id.file_name(KeyKind::BoxPublic),
    ));
    Ok(0)
}

/// The group in this organization.
pub(in crate::cli) fn with_org(group: ServiceGroup, org: Option<&str>) -> Result<ServiceGroup, CliError> {
    match (org, group.org()) {
        (None, _) => Ok(group),
        (Some(org), Some(own)) if org == own => Ok(group),
        (Some(org), Some(own)) => Err(CliError::Usage(format!(
            "{group} is in the organization {own}, and {org} is another one: name one of them"
        ))),
        (Some(org), None) => ServiceGroup::new(group.service(), group.group(), Some(org))
            .map_err(|error| CliError::Usage(format!("organization {org:?}: {error}"))),
    }
}
