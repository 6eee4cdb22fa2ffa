//! Checks a service's health: by its own hook, or as its plan lets the supervisor ask. Reports the result, and decides
//! nothing about the service.

use std::time::Duration;

use annulus_core::{ExitStatus, Health, HookExit};

use super::hook::{self, HookRun, Say};
use super::probe;
use crate::package::HealthPlan;
use crate::supervisor::ledger::HealthReport;

/// Longest note: it has to fit into one line of a table.
const NOTE_CHARS_MAX: usize = 200;

/// The result of a check.
pub(super) struct Checkup {
    pub(super) health: Health,
    /// For people, in one line.
    pub(super) note: String,
    pub(super) report: HealthReport,
}

/// Checks a service by its hook, else as its plan says.
pub(super) async fn check(
    hook: Option<(HookRun, Say)>,
    plan: Option<HealthPlan>,
    limit: Duration,
) -> Checkup {
    let limit =
        plan.as_ref().and_then(|plan| plan.timeout_s).map_or(limit, |s| limit.min(Duration::from_secs(s)));
    if let Some((run, say)) = hook {
        return by_hook(run, say, limit).await;
    }
    let Some(probe) = plan.and_then(|plan| plan.probe) else {
        let note = "neither a hook nor the plan checks the service".to_owned();
        return Checkup { health: Health::Unknown, note, report: HealthReport::default() };
    };
    let answered = probe::health(&probe, limit).await;
    let stderr = if answered.health == Health::Ok { String::new() } else { format!("{}\n", answered.note) };
    let report = HealthReport { stdout: answered.body, stderr };
    Checkup { health: answered.health, note: one_line(&answered.note), report }
}

/// Code 0 is ok, 1 a warning, 2 critical, every other code unknown (as in Habitat). A hook that hangs is critical,
/// because the service that it asks hangs.
async fn by_hook(run: HookRun, say: Say, limit: Duration) -> Checkup {
    let heard = hook::run(run, limit, say).await;
    let said = heard.stderr.lines().chain(heard.stdout.lines()).rev().find(|line| !line.trim().is_empty());
    let (health, how) = match &heard.end.exit {
        HookExit::Ended(ExitStatus::Code(0)) => (Health::Ok, None),
        HookExit::Ended(ExitStatus::Code(1)) => (Health::Warning, None),
        HookExit::Ended(ExitStatus::Code(2)) => (Health::Critical, None),
        HookExit::Ended(ExitStatus::Code(3)) => (Health::Unknown, None),
        HookExit::Ended(status) => {
            (Health::Unknown, Some(format!("the health-check hook ended with {status}")))
        }
        HookExit::TimedOut => {
            let ms = limit.as_millis();
            (Health::Critical, Some(format!("the health-check hook did not end within {ms} ms")))
        }
        HookExit::Failed(reason) => (Health::Unknown, Some(reason.clone())),
        HookExit::Missing => (Health::Unknown, Some("there is no health-check hook".to_owned())),
    };
    let note = match (how, said) {
        (Some(how), Some(said)) => format!("{how}: {said}"),
        (Some(how), None) => how,
        (None, said) => said.unwrap_or_default().to_owned(),
    };
    Checkup {
        health,
        note: one_line(&note),
        report: HealthReport { stdout: heard.stdout, stderr: heard.stderr },
    }
}

fn one_line(text: &str) -> String {
    let line = text.trim().replace(char::is_control, " ");
    line.chars().take(NOTE_CHARS_MAX).collect()
}
