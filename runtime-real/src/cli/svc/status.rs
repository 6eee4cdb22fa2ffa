//! `annulus svc status [IDENT]`, which is also `annulus sup status`.

use annulus_core::PackageIdent;
use serde_json::{Value, json};

use crate::cli::target::{self, Remote};
use crate::cli::{Global, Outcome, block_on, output};
use crate::ctl::convert::{group_text, ident_text};
use crate::ctl::message::{ServiceStatus, SvcStatus};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Only this service, origin/name
    ident: Option<PackageIdent>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(in crate::cli) fn run(global: &Global, args: &Args) -> Outcome {
    let request = SvcStatus { ident: args.ident.as_ref().map(Into::into) };
    let list: Vec<ServiceStatus> =
        block_on(async { Ok(target::connect(global, &args.remote).await?.query(&request).await?) })?;
    if args.json {
        output::line(format_args!("{:#}", Value::Array(list.iter().map(to_json).collect())));
    } else if list.is_empty() {
        output::line("no services are loaded; `annulus svc load ORIGIN/NAME` loads one");
    } else {
        output::line(output::table(&HEAD, &list.iter().map(row).collect::<Vec<_>>()));
        for note in list.iter().filter_map(note) {
            output::line(format_args!("\n{note}"));
        }
    }
    Ok(0)
}

const HEAD: [&str; 7] = ["package", "type", "desired", "state", "elapsed (s)", "pid", "group"];

fn desired(status: &ServiceStatus) -> &'static str {
    match status.desired_state {
        Some(1) => "up",
        Some(0) => "down",
        _ => "none",
    }
}

/// The state in our words where the supervisor is one of ours, else whether there is a process.
fn state(status: &ServiceStatus) -> &str {
    let up = status.process.is_some_and(|process| process.state == 1);
    status.state.as_deref().unwrap_or(if up { "up" } else { "down" })
}

fn row(status: &ServiceStatus) -> Vec<String> {
    let process = status.process.unwrap_or_default();
    vec![
        ident_text(&status.ident),
        status.topology.clone().unwrap_or_else(|| "standalone".to_owned()),
        desired(status).to_owned(),
        state(status).to_owned(),
        process.elapsed.unwrap_or(0).to_string(),
        process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        group_text(&status.service_group),
    ]
}

/// What an operator would ask next about a service that is not as it should be.
fn note(status: &ServiceStatus) -> Option<String> {
    if state(status) != "backoff" {
        return None;
    }
    let reason = match (&status.last_error, &status.last_exit) {
        (Some(error), _) => error.clone(),
        (None, Some(exit)) => format!("its process ended with {exit}"),
        (None, None) => "it could not be started".to_owned(),
    };
    let next = status
        .next_start_ms
        .map_or_else(String::new, |ms| format!("; next try in {}.{} s", ms / 1000, ms % 1000 / 100));
    let restarts = status.restarts.unwrap_or(0);
    Some(format!("{}: {reason}; restarted {restarts} times{next}", ident_text(&status.ident)))
}

fn to_json(status: &ServiceStatus) -> Value {
    let process = status.process.unwrap_or_default();
    json!({
        "package": ident_text(&status.ident),
        "service_group": group_text(&status.service_group),
        "topology": status.topology,
        "desired_state": desired(status),
        "state": state(status),
        "process": {
            "pid": process.pid,
            "state": if process.state == 1 { "up" } else { "down" },
            "elapsed_s": process.elapsed,
        },
        "restarts": status.restarts,
        "last_exit": status.last_exit,
        "last_error": status.last_error,
        "next_start_ms": status.next_start_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::message::{ProcessStatus, ServiceGroup};

    #[test]
    fn a_failing_service_says_why() {
        let status = ServiceStatus {
            ident: (&"core/redis".parse::<PackageIdent>().expect("ident")).into(),
            process: Some(ProcessStatus { elapsed: Some(4), pid: None, state: 0 }),
            service_group: ServiceGroup {
                service: "redis".into(),
                group: "default".into(),
                organization: None,
            },
            desired_state: Some(1),
            state: Some("backoff".into()),
            restarts: Some(3),
            last_exit: Some("exit code 9".into()),
            next_start_ms: Some(1_250),
            ..ServiceStatus::default()
        };
        assert_eq!(row(&status), ["core/redis", "standalone", "up", "backoff", "4", "-", "redis.default"]);
        let note = note(&status).expect("a note");
        assert_eq!(
            note,
            "core/redis: its process ended with exit code 9; restarted 3 times; next try in 1.2 s"
        );
        // Another supervisor's answer, without our fields.
        let foreign = ServiceStatus { state: None, ..status };
        assert_eq!(state(&foreign), "down");
    }
}
