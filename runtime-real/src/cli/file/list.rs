//! `annulus file list SERVICE.GROUP`: lists the files of a group. Only asks.

use annulus_core::{ServiceGroup, UnixTime};
use serde_json::{Value, json};

use crate::cli::group::{Through, files};
use crate::cli::{Global, Outcome, block_on, output};
use crate::gateway::ctl::group_message::GroupVersion;
use crate::gateway::ctl::ring_message::GroupFile;
use crate::host::timestamp;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The service group, SERVICE.GROUP[@ORG]
    #[arg(value_name = "SERVICE.GROUP")]
    group: ServiceGroup,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    through: Through,
}

const HEAD: [&str; 6] = ["file", "version", "bytes", "through member", "taken in", ""];

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let files = block_on(files(global, &args.through, &args.group))?;
    if args.json {
        output::line(format_args!("{:#}", files.iter().map(to_json).collect::<Value>()));
    } else if files.is_empty() {
        output::line(format_args!("{} has no files; `annulus file upload` gives it some", args.group));
    } else {
        output::table(&HEAD, &files.iter().map(row).collect::<Vec<_>>());
    }
    Ok(0)
}

/// The member that took a version from an operator, by its host and the beginning of its id.
fn writer(file: &GroupFile, version: &GroupVersion) -> String {
    let short: String = version.writer.chars().take(8).collect();
    match (file.writer_host.as_str(), short.as_str()) {
        (_, "") => "-".to_owned(),
        ("", short) => short.to_owned(),
        (host, short) => format!("{host} ({short})"),
    }
}

fn row(file: &GroupFile) -> Vec<String> {
    let version = file.version.clone().unwrap_or_default();
    let at = version.at_ms.map(|ms| timestamp::rfc3339_millis(UnixTime::from_millis(ms)));
    vec![
        file.name.clone(),
        version.version.to_string(),
        version.bytes.to_string(),
        writer(file, &version),
        at.unwrap_or_else(|| "-".to_owned()),
        match (file.is_sealed, version.bytes) {
            (true, _) => "sealed".to_owned(),
            (false, 0) => "removed (empty)".to_owned(),
            (false, _) => String::new(),
        },
    ]
}

fn to_json(file: &GroupFile) -> Value {
    let version = file.version.clone().unwrap_or_default();
    json!({
        "file": file.name,
        "version": version.version,
        "bytes": version.bytes,
        "hash": format!("{:016x}", version.hash),
        "writer": Some(&version.writer).filter(|writer| !writer.is_empty()),
        "writer_host": Some(&file.writer_host).filter(|host| !host.is_empty()),
        "taken_in_at_ms": version.at_ms,
        "removed": version.bytes == 0,
        "sealed": file.is_sealed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_row_and_an_object() {
        let version = GroupVersion {
            version: 3,
            writer: "abcdef0123456789".into(),
            bytes: 12,
            at_ms: Some(0),
            ..GroupVersion::default()
        };
        let file = GroupFile {
            name: "users.acl".into(),
            version: Some(version.clone()),
            writer_host: "beta".into(),
            is_sealed: false,
        };
        assert_eq!(row(&file), ["users.acl", "3", "12", "beta (abcdef01)", "1970-01-01T00:00:00.000Z", ""]);
        let removed = GroupFile {
            version: Some(GroupVersion { bytes: 0, at_ms: None, writer: String::new(), ..version }),
            writer_host: String::new(),
            ..file
        };
        assert_eq!(row(&removed)[2..], ["0", "-", "-", "removed (empty)"]);
        assert_eq!(
            (&to_json(&removed)["removed"], &to_json(&removed)["writer"]),
            (&true.into(), &Value::Null)
        );
    }
}
