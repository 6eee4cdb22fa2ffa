//! `annulus svc status [IDENT]`, which is also `annulus sup status`: lists the services of a running supervisor, and
//! what an operator should know of each. Only asks.

use annulus_core::PackageIdent;
use serde_json::{Value, json};

use crate::cli::target::{self, Remote};
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::gateway::ctl::client::ClientError;
use crate::gateway::ctl::convert::{group_text, hook_text, ident_text};
use crate::gateway::ctl::message::{
    ErrCode, Obstacle, RunningHook, ServiceStatus, SpecProblem, SpecProblems, SupProblem, SupProblems,
    SvcStatus,
};
use crate::host::terminal::visible_lines;

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
    let (list, problems, sup) = block_on(async {
        let list: Vec<ServiceStatus> = target::connect(global, &args.remote).await?.query(&request).await?;
        let asked = target::connect(global, &args.remote).await?.query(&SpecProblems {}).await;
        let sup = target::connect(global, &args.remote).await?.query::<SupProblem>(&SupProblems {}).await;
        Ok((list, about(args.ident.as_ref(), known(asked)?), known(sup)?))
    })?;
    if args.json {
        let mut entries = to_json(&list, &problems);
        let reasons: Vec<&str> = sup.iter().map(|problem| problem.reason.as_str()).collect();
        entries.iter_mut().for_each(|entry| entry["supervisor_problems"] = json!(reasons));
        output::line(format_args!("{:#}", Value::Array(entries)));
        return Ok(0);
    }
    if list.is_empty() {
        output::line("no services are loaded; `annulus svc load ORIGIN/NAME` loads one");
    } else {
        output::table(&HEAD, &list.iter().map(row).collect::<Vec<_>>());
    }
    let mut notes: Vec<String> =
        list.iter().flat_map(notes).chain(problems.iter().map(problem_line)).collect();
    notes.extend(sup.into_iter().map(|problem| problem.reason));
    if !notes.is_empty() {
        // A health check's words may have several lines.
        // Indented, so that no text passes for a note of its own.
        let notes: Vec<_> = notes.iter().map(|note| visible_lines(note).replace('\n', "\n    ")).collect();
        output::line(format_args!("\n{}", notes.join("\n")));
    }
    Ok(0)
}

/// A supervisor of Habitat does not know this request; it has no such problems to report.
fn known<T>(asked: Result<Vec<T>, ClientError>) -> Result<Vec<T>, CliError> {
    match asked {
        Err(ClientError::Refused(err)) if err.code == i32::from(ErrCode::NotSupported) => Ok(Vec::new()),
        asked => Ok(asked?),
    }
}

fn about(ident: Option<&PackageIdent>, problems: Vec<SpecProblem>) -> Vec<SpecProblem> {
    let of = |problem: &SpecProblem| match (ident, &problem.service) {
        (Some(ident), service) => service.as_deref() == Some(ident.name()),
        (None, _) => true,
    };
    problems.into_iter().filter(of).collect()
}

const HEAD: [&str; 9] = ["ident", "group", "role", "desired", "state", "health", "pid", "uptime", "restarts"];

fn desired(status: &ServiceStatus) -> &'static str {
    match status.desired_state {
        Some(1) => "up",
        Some(0) => "down",
        _ => "none",
    }
}

fn is_up(status: &ServiceStatus) -> bool {
    status.process.is_some_and(|process| process.state == 1)
}

/// The state as an Annulus supervisor names it; for a supervisor of Habitat, whether there is a process.
fn state(status: &ServiceStatus) -> &str {
    status.state.as_deref().unwrap_or(if is_up(status) { "up" } else { "down" })
}

/// The state that the table shows: maintenance and draining matter most to an operator who sends the service work.
fn shown_state(status: &ServiceStatus) -> &str {
    match state(status) {
        "up" if status.maintenance.is_some() => "maintenance",
        "up" if status.draining == Some(true) => "draining",
        state => state,
    }
}

/// Seconds since the process was started; none without a running one.
fn uptime_s(status: &ServiceStatus) -> Option<i64> {
    status.process.filter(|_| state(status) == "up").and_then(|process| process.elapsed)
}

fn row(status: &ServiceStatus) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        ident_text(&status.ident),
        group_text(&status.service_group),
        or_dash(status.role.clone()),
        desired(status).to_owned(),
        shown_state(status).to_owned(),
        // The health of a service that should not run says nothing.
        or_dash(status.health.clone().filter(|_| state(status) != "down")),
        or_dash(status.process.and_then(|process| process.pid).map(|pid| pid.to_string())),
        or_dash(uptime_s(status).map(duration)),
        or_dash(status.restarts.map(|restarts| restarts.to_string())),
    ]
}

/// `42s`, `3m 20s`, `5h 2m`, `12d 3h`.
pub(in crate::cli) fn duration(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Answers to an operator's next question about a service that is not as it should be.
fn notes(status: &ServiceStatus) -> Vec<String> {
    let ident = ident_text(&status.ident);
    let mut notes = Vec::new();
    if matches!(state(status), "backoff" | "failed") {
        notes.push(format!("{ident}: {}", failure(status)));
    }
    notes.extend(status.hooks.iter().map(|hook| format!("{ident}: {}", hook_text(hook))));
    let told = matches!(state(status), "backoff" | "failed").then(|| reason(status));
    let others =
        status.obstacles.iter().map(|obstacle| &obstacle.what).filter(|what| Some(*what) != told.as_ref());
    notes.extend(others.map(|what| format!("{ident}: {what}")));
    let restarts = status.restarts.filter(|restarts| *restarts > 0 && state(status) == "up");
    if let Some((restarts, exit)) = restarts.zip(status.last_exit.as_ref()) {
        notes.push(format!("{ident}: restarted {restarts} times; its last process ended with {exit}"));
    }
    let waits_on =
        |what: &String| status.obstacles.iter().any(|obstacle| obstacle.what.contains(what.as_str()));
    if let Some(what) =
        status.waiting_for.as_ref().filter(|what| state(status) == "waiting" && !waits_on(what))
    {
        notes.push(format!("{ident}: waits for {what}"));
    }
    notes.extend(status.updates.iter().map(|what| format!("{ident}: {what}")));
    if let Some(reason) = &status.maintenance {
        notes.push(format!("{ident}: takes no new work, in maintenance: {reason}"));
    } else if status.draining == Some(true) && state(status) == "up" {
        notes.push(format!("{ident}: takes no new work; `annulus svc undrain {ident}` ends that"));
    }
    if !status.capabilities.is_empty() {
        let user = status.user.as_deref().unwrap_or("its user");
        notes.push(format!("{ident}: runs as {user} with {}", status.capabilities.join(", ")));
    }
    notes
}

/// Why a service is not tried at the moment.
fn reason(status: &ServiceStatus) -> String {
    match (status.obstacles.first(), &status.last_error, &status.last_exit) {
        (Some(obstacle), ..) => obstacle.what.clone(),
        (None, Some(error), _) => error.clone(),
        (None, None, Some(exit)) => format!("its process ended with {exit}"),
        (None, None, None) => "it could not be started".to_owned(),
    }
}

fn failure(status: &ServiceStatus) -> String {
    let reason = reason(status);
    let next = match status.next_start_ms {
        Some(ms) => format!("; next try in {}.{} s", ms / 1000, ms % 1000 / 100),
        None if state(status) == "failed" => {
            format!("; it is not tried again before `annulus svc start {}`", ident_text(&status.ident))
        }
        None => String::new(),
    };
    format!("{reason}; restarted {} times{next}", status.restarts.unwrap_or(0))
}

fn problem_line(problem: &SpecProblem) -> String {
    format!("spec file {} is left alone: {}", problem.path, problem.reason)
}

fn to_json(list: &[ServiceStatus], problems: &[SpecProblem]) -> Vec<Value> {
    let reason = |file: &str| problems.iter().find(|problem| problem.path == file).map(|p| p.reason.as_str());
    let mut entries: Vec<Value> = list
        .iter()
        .map(|status| {
            let mut entry = service_json(status);
            entry["spec_problem"] = status.spec_file.as_deref().and_then(reason).into();
            entry
        })
        .collect();
    let loaded = |problem: &SpecProblem| list.iter().any(|s| s.spec_file.as_ref() == Some(&problem.path));
    entries.extend(problems.iter().filter(|problem| !loaded(problem)).map(|problem| {
        json!({
            "package": null,
            "service": problem.service,
            "state": "unreadable",
            "spec_file": problem.path,
            "spec_problem": problem.reason,
        })
    }));
    entries
}

fn service_json(status: &ServiceStatus) -> Value {
    let process = status.process.unwrap_or_default();
    json!({
        "package": ident_text(&status.ident),
        "service": status.service_group.service,
        "service_group": group_text(&status.service_group),
        "topology": status.topology,
        "desired_state": desired(status),
        "state": state(status),
        "process": {
            "pid": process.pid,
            "state": if process.state == 1 { "up" } else { "down" },
            "elapsed_s": process.elapsed,
        },
        "uptime_s": uptime_s(status),
        "health": status.health,
        "health_note": status.health_note,
        "accepting": status.accepting,
        "draining": status.draining,
        "maintenance": status.maintenance,
        "updates": status.updates,
        "role": status.role,
        "waiting_for": status.waiting_for,
        "restarts": status.restarts,
        "last_exit": status.last_exit,
        "last_error": status.last_error,
        "next_start_ms": status.next_start_ms,
        "spec_file": status.spec_file,
        "user": status.user,
        "capabilities": status.capabilities,
        "hooks": hooks_json(status),
        "obstacles": obstacles_json(status),
    })
}

fn hooks_json(status: &ServiceStatus) -> Value {
    let hook = |hook: &RunningHook| json!({ "hook": hook.hook, "elapsed_ms": hook.elapsed_ms, "limit_ms": hook.limit_ms });
    status.hooks.iter().map(hook).collect()
}

fn obstacles_json(status: &ServiceStatus) -> Value {
    let one =
        |obstacle: &Obstacle| json!({ "kind": obstacle.kind, "hook": obstacle.hook, "what": obstacle.what });
    status.obstacles.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ctl::message::{ProcessStatus, ServiceGroup};

    fn status(state: &str) -> ServiceStatus {
        ServiceStatus {
            ident: (&"core/redis".parse::<PackageIdent>().expect("ident")).into(),
            process: Some(ProcessStatus { elapsed: Some(4), pid: None, state: 0 }),
            service_group: ServiceGroup {
                service: "redis".into(),
                group: "default".into(),
                organization: None,
            },
            desired_state: Some(1),
            state: Some(state.into()),
            restarts: Some(3),
            spec_file: Some("/specs/redis.spec".into()),
            ..ServiceStatus::default()
        }
    }

    #[test]
    fn a_failing_service_says_why() {
        let status = ServiceStatus {
            last_exit: Some("exit code 9".into()),
            next_start_ms: Some(1_250),
            health: Some("critical".into()),
            ..status("backoff")
        };
        assert_eq!(
            row(&status),
            ["core/redis", "redis.default", "-", "up", "backoff", "critical", "-", "-", "3"]
        );
        assert_eq!(
            notes(&status),
            ["core/redis: its process ended with exit code 9; restarted 3 times; next try in 1.2 s"]
        );
        // An answer of a supervisor of Habitat, which has no fields of Annulus.
        let foreign = ServiceStatus { state: None, health: None, restarts: None, ..status };
        assert_eq!(row(&foreign), ["core/redis", "redis.default", "-", "up", "down", "-", "-", "-", "-"]);
    }

    #[test]
    fn a_service_that_takes_no_work_says_why() {
        let process = Some(ProcessStatus { elapsed: Some(3_725), pid: Some(7), state: 1 });
        let up = ServiceStatus { process, health: Some("ok".into()), ..status("up") };
        let up = ServiceStatus { role: Some("leader".into()), ..up };
        assert_eq!(row(&up)[2..], ["leader", "up", "up", "ok", "7", "1h 2m", "3"]);
        assert_eq!(notes(&up), [""; 0]);
        let drained = ServiceStatus { draining: Some(true), ..up.clone() };
        assert_eq!(shown_state(&drained), "draining");
        assert!(notes(&drained)[0].contains("undrain"));
        let maintained = ServiceStatus { maintenance: Some("new disk".into()), ..up.clone() };
        assert_eq!(shown_state(&maintained), "maintenance");
        assert!(notes(&maintained)[0].contains("new disk"));
        let capable = ServiceStatus {
            user: Some("web".into()),
            capabilities: vec!["net_bind_service".into(), "chown".into()],
            ..up.clone()
        };
        assert_eq!(notes(&capable), ["core/redis: runs as web with net_bind_service, chown"]);
        let hook = RunningHook { hook: "init".into(), elapsed_ms: 12_300, limit_ms: 300_000 };
        let starting = ServiceStatus { hooks: vec![hook], ..status("starting") };
        assert_eq!(notes(&starting), ["core/redis: in init hook since 12 s, limit 300 s"]);
        let obstacle = |kind: &str, what: &str| Obstacle { kind: kind.into(), hook: None, what: what.into() };
        let lost = obstacle("bind", "lacks bind db: group db.x has no alive member; it runs on");
        let bound = ServiceStatus { obstacles: vec![lost], ..up.clone() };
        assert_eq!(notes(&bound), ["core/redis: lacks bind db: group db.x has no alive member; it runs on"]);
        let waiting = ServiceStatus { waiting_for: Some("bind db".into()), ..status("waiting") };
        assert_eq!(notes(&waiting), ["core/redis: waits for bind db"]);
        let waiting = ServiceStatus { obstacles: vec![obstacle("bind", "waits for bind db")], ..waiting };
        assert_eq!(notes(&waiting), ["core/redis: waits for bind db"], "once");
        let sick =
            ServiceStatus { obstacles: vec![obstacle("health", "health check: critical: no disk")], ..up };
        assert_eq!(notes(&sick), ["core/redis: health check: critical: no disk"]);
    }

    #[test]
    fn bad_spec_files_are_told_with_their_service_or_alone() {
        let problem = |service: &str| SpecProblem {
            path: format!("/specs/{service}.spec"),
            reason: "unknown field".into(),
            service: Some(service.into()),
        };
        let json = to_json(&[status("up")], &[problem("redis"), problem("web")]);
        assert_eq!(json.len(), 2);
        assert_eq!(
            (&json[0]["package"], &json[0]["spec_problem"]),
            (&"core/redis".into(), &"unknown field".into())
        );
        assert_eq!((&json[1]["state"], &json[1]["service"]), (&"unreadable".into(), &"web".into()));
        let redis = "core/redis".parse().expect("ident");
        assert_eq!(about(Some(&redis), vec![problem("redis"), problem("web")]).len(), 1);
    }

    #[test]
    fn durations_are_short() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 90_000].map(duration);
        assert_eq!(shown, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 1h"]);
    }
}
