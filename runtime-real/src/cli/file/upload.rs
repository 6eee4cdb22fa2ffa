//! `annulus file upload SERVICE.GROUP VERSION FILE`: gives a file to a service group. Keeps no copy.

use std::io::Read as _;
use std::path::PathBuf;

use annulus_core::limits::SERVICE_FILE_BYTES_MAX;
use annulus_core::{FileName, ServiceGroup};

use crate::cli::group::{Number, Seal, Through, Wait, send};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::group::check_file;
use crate::gateway::ctl::group_message::SvcFilePut;
use crate::host::small_file;
use crate::keys::Purpose;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = crate::cli::group::EXIT_CODES)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]; no member has to serve it yet
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    #[command(flatten)]
    number: Number,
    /// The file; it keeps its base name
    file: PathBuf,
    #[command(flatten)]
    seal: Seal,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: Args) -> Outcome {
    let Args { group, number: Number { version, allow_leap }, file, seal, wait, through } = args;
    let group = seal.group(group)?;
    let path = file.display().to_string();
    output::line(format_args!("» Uploading {path} to {group} as version {version}"));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name: FileName = name.parse().map_err(|error| CliError::Usage(format!("{path}: {error}")))?;
    let mut content = Vec::new();
    let opened = small_file::open(&file).map_err(CliError::io(path.clone()))?;
    // One byte beyond the limit is read, so that a file which is too long is noticed.
    let mut limited = opened.take(SERVICE_FILE_BYTES_MAX as u64 + 1);
    limited.read_to_end(&mut content).map_err(CliError::io(path.clone()))?;
    check_file(&name, &content).map_err(|error| CliError::Usage(format!("{path}: {}", error.msg)))?;
    if content.is_empty() {
        // A command that was to write it may have failed, and an empty version takes back the file that the group has.
        return Err(CliError::Usage(format!(
            "{path} is empty, and would withdraw the file from the group; if that is meant: annulus file remove {group} {name}"
        )));
    }
    output::line(format_args!("Ω Read {} bytes", content.len()));
    let purpose = Purpose { group: &group, file: Some(name.as_str()), version };
    let sealed = seal.seal(global, purpose, content)?;
    let is_sealed = sealed.is_sealed();
    let request = SvcFilePut {
        service_group: Some((&group).into()),
        content: Some(sealed.content),
        filename: Some(name.to_string()),
        version: Some(version),
        is_encrypted: Some(is_sealed),
        allow_leap: Some(allow_leap),
        signature: sealed.signature,
    };
    block_on(async {
        send(global, &through, &request).await?;
        output::line(format_args!("★ Uploaded version {version} of {name} to {group}"));
        wait.until_applied(global, &through, &group, (Some(name.as_str()), is_sealed), version).await
    })
}
