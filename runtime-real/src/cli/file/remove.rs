//! `annulus file remove SERVICE.GROUP NAME`: withdraws a file from a group. The ring keeps no tombstones of files: an empty
//! version takes the file's place, and members have an empty file.

use annulus_core::{FileName, ServiceGroup};

use crate::cli::group::{Seal, Through, Wait, query, send};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::group_message::SvcFilePut;
use crate::keys::Purpose;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = crate::cli::group::EXIT_CODES)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    /// The file's name
    name: FileName,
    /// The number of the empty version that takes its place [default: the next one]
    #[arg(id = "number", value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    #[command(flatten)]
    seal: Seal,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let Args { group, name, version, seal, wait, through } = args;
    let group = &seal.group(group.clone())?;
    let is_sealed = seal.is_asked();
    block_on(async {
        let status = query(global, through, group, Some(name.as_str()), Some(is_sealed)).await?;
        let Some(current) = status.current else {
            return Err(CliError::NoVersion { what: format!("file {name}"), group: group.to_string() });
        };
        if current.bytes == 0 && !is_sealed && version.is_none() {
            output::line(format_args!(
                "{name} of {group} is removed already, with version {}",
                current.version
            ));
            return wait
                .until_applied(global, through, group, (Some(name.as_str()), false), current.version)
                .await;
        }
        let version = version.unwrap_or(current.version.saturating_add(1));
        let purpose = Purpose { group, file: Some(name.as_str()), version };
        let sealed = seal.seal(global, purpose, Vec::new())?;
        let request = SvcFilePut {
            service_group: Some(group.into()),
            content: Some(sealed.content),
            filename: Some(name.to_string()),
            version: Some(version),
            is_encrypted: Some(is_sealed),
            allow_leap: None,
            signature: sealed.signature,
        };
        send(global, through, &request).await?;
        output::line(format_args!(
            "★ Removed {name} of {group}: version {version} is empty, and so is the file of every member"
        ));
        wait.until_applied(global, through, group, (Some(name.as_str()), is_sealed), version).await
    })
}
