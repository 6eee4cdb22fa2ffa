//! `annulus config history SERVICE.GROUP [--file NAME]`:
//! lists the versions that a supervisor has had. Never changes one.

use annulus_core::{ServiceGroup, UnixTime};
use serde_json::{Value, json};

use crate::cli::group::{Through, query};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::group_message::{GroupStatus, GroupVersion};
use crate::host::timestamp;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    /// The versions of this file instead of the configuration's
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    through: Through,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    show(global, &args.through, &args.group, args.file.as_deref(), args.json)
}

/// Shows the versions of a group's configuration, or of one of its files.
pub(in crate::cli) fn show(
    global: &Global,
    through: &Through,
    group: &ServiceGroup,
    file: Option<&str>,
    json: bool,
) -> Outcome {
    let status = block_on(query(global, through, group, file, None))?;
    if json {
        let list = status.history.iter().map(|v| to_json(&status, v)).collect();
        output::line(format_args!("{:#}", Value::Array(list)));
        return Ok(0);
    }
    if status.history.is_empty() {
        let what = file.map_or_else(|| "configuration".to_owned(), |name| format!("file {name}"));
        return Err(CliError::NoVersion { what, group: group.to_string() });
    }
    let rows: Vec<Vec<String>> = status.history.iter().rev().map(|v| row(&status, v)).collect();
    output::table(&["version", "taken in", "through member", "bytes", "hash", ""], &rows);
    Ok(0)
}

fn is_current(status: &GroupStatus, version: &GroupVersion) -> bool {
    status.current.as_ref().is_some_and(|c| c.version == version.version && c.hash == version.hash)
}

fn row(status: &GroupStatus, version: &GroupVersion) -> Vec<String> {
    let at = version
        .at_ms
        .map_or_else(|| "-".to_owned(), |ms| timestamp::rfc3339_millis(UnixTime::from_millis(ms)));
    let writer = if version.writer.is_empty() { "-" } else { &version.writer };
    vec![
        version.version.to_string(),
        at,
        writer.to_owned(),
        version.bytes.to_string(),
        format!("{:016x}", version.hash),
        if is_current(status, version) { "current".to_owned() } else { String::new() },
    ]
}

fn to_json(status: &GroupStatus, version: &GroupVersion) -> Value {
    json!({
        "version": version.version,
        "taken_in_at_ms": version.at_ms,
        "writer": version.writer,
        "bytes": version.bytes,
        "hash": format!("{:016x}", version.hash),
        "current": is_current(status, version),
    })
}
