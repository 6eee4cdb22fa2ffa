//! `annulus config apply SERVICE.GROUP VERSION [FILE|-]`: gives a group another version of its configuration, through
//! a supervisor. Keeps no copy, and never picks the version's number.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use annulus_core::ServiceGroup;
use annulus_core::limits::SERVICE_CONFIG_BYTES_MAX;

use crate::cli::group::{Through, Wait, send};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::group::check_config;
use crate::gateway::ctl::group_message::SvcSetCfg;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = crate::cli::group::EXIT_CODES)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]; no member has to serve it yet
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    /// The version's number: from 1, and higher than the current one
    #[arg(id = "number", value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    version: u64,
    /// The whole configuration, TOML; "-" is standard input
    #[arg(value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: Args) -> Outcome {
    let Args { group, version, file, wait, through } = args;
    output::line(format_args!("» Applying version {version} of the configuration of {group}"));
    let (cfg, name) = read(&file)?;
    output::line(format_args!("Ω Read {} bytes from {name}", cfg.len()));
    check_config(&cfg).map_err(|error| CliError::Usage(format!("{name}: {}", error.msg)))?;
    output::line("✓ Verified: it is valid TOML");
    let request = SvcSetCfg {
        service_group: Some((&group).into()),
        cfg: Some(cfg),
        version: Some(version),
        is_encrypted: Some(false),
    };
    block_on(async {
        send(global, &through, &request).await?;
        output::line(format_args!("★ Applied version {version} of the configuration of {group}"));
        wait.until_applied(global, &through, &group, None, version).await
    })
}

/// Reads the configuration and says where it came from. One byte beyond the limit is read, so that a text which is too
/// long is noticed.
fn read(file: &Path) -> Result<(Vec<u8>, String), CliError> {
    let limit = SERVICE_CONFIG_BYTES_MAX as u64 + 1;
    let mut cfg = Vec::new();
    if file == Path::new("-") {
        let name = "standard input".to_owned();
        std::io::stdin().take(limit).read_to_end(&mut cfg).map_err(CliError::io(name.clone()))?;
        return Ok((cfg, name));
    }
    let name = file.display().to_string();
    let opened = std::fs::File::open(file).map_err(CliError::io(name.clone()))?;
    opened.take(limit).read_to_end(&mut cfg).map_err(CliError::io(name.clone()))?;
    Ok((cfg, name))
}
