//! `annulus config apply SERVICE.GROUP VERSION [FILE|-]`: gives a group another version of its configuration, through
//! a supervisor. Keeps no copy, and never picks the version's number.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use annulus_core::ServiceGroup;
use annulus_core::limits::SERVICE_CONFIG_BYTES_MAX;

use crate::cli::group::{Number, Seal, Through, Wait, send};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::group::check_config;
use crate::gateway::ctl::group_message::SvcSetCfg;
use crate::keys::Purpose;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = crate::cli::group::EXIT_CODES)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]; no member has to serve it yet
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    #[command(flatten)]
    number: Number,
    /// The whole configuration, TOML; "-" is standard input
    #[arg(value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
    /// Take everything back that was given to the group: a version that sets nothing. Reads no file
    #[arg(long, conflicts_with = "file")]
    empty: bool,
    #[command(flatten)]
    seal: Seal,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: Args) -> Outcome {
    let Args { group, number: Number { version, allow_leap }, file, empty, seal, wait, through } = args;
    let group = seal.group(group)?;
    output::line(format_args!("» Applying version {version} of the configuration of {group}"));
    let cfg = if empty {
        output::line("✓ It sets nothing: what was given before is taken back");
        Vec::new()
    } else {
        let (cfg, name) = read(&file)?;
        output::line(format_args!("Ω Read {} bytes from {name}", cfg.len()));
        check_config(&cfg, false).map_err(|error| CliError::Usage(format!("{name}: {}", error.msg)))?;
        output::line("✓ Verified: it is valid TOML");
        cfg
    };
    let sealed = seal.seal(global, Purpose { group: &group, file: None, version }, cfg)?;
    let is_sealed = sealed.is_sealed();
    let request = SvcSetCfg {
        service_group: Some((&group).into()),
        cfg: Some(sealed.content),
        version: Some(version),
        is_encrypted: Some(is_sealed),
        allow_leap: Some(allow_leap),
        empty: Some(empty),
        signature: sealed.signature,
    };
    block_on(async {
        send(global, &through, &request).await?;
        output::line(format_args!("★ Applied version {version} of the configuration of {group}"));
        wait.until_applied(global, &through, &group, (None, is_sealed), version).await
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
