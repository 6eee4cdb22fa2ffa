//! Services of scenarios as real packages: `sim/<name>`, whose process does nothing until it is told to end.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::BedError;
use super::daemon::Settings;
use super::observe;

/// The ident of a scenario's service.
pub(super) fn ident(service: &str) -> String {
    format!("sim/{service}")
}

/// Builds the service's package with the host's own root, and loads it.
pub(super) fn load(settings: &Settings, folder: &Path, service: &str) -> Result<(), BedError> {
    let plan = folder.join("plans").join(service);
    write_plan(&plan, service).map_err(BedError::io(plan.display()))?;
    let built = settings.root.join("built").join(service);
    if package(&built).is_none() {
        settings.ask(&["pkg", "build", &plan.to_string_lossy(), "--output", &built.to_string_lossy()])?;
    }
    match package(&built) {
        Some(file) => settings.ask(&["svc", "load", &file.to_string_lossy()]).map(drop),
        None => Err(BedError::Failed(format!("no package was built in {}", built.display()))),
    }
}

fn package(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "hart"))
}

fn write_plan(plan: &Path, service: &str) -> io::Result<()> {
    let hook = plan.join("hooks/run");
    if hook.exists() {
        return Ok(());
    }
    fs::create_dir_all(plan.join("hooks"))?;
    fs::write(
        plan.join("plan.toml"),
        format!("origin = \"sim\"\nname = \"{service}\"\nversion = \"1.0.0\"\n"),
    )?;
    fs::write(&hook, "#!/bin/sh\nexec sleep 1000000\n")?;
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755))
}

/// Kills the service's process; its supervisor cannot tell by whom.
pub(super) fn crash(settings: &Settings, service: &str) -> Result<(), BedError> {
    let answer = observe::get(&settings.place, "/services").map_err(BedError::io("/services"))?;
    let services: Value = serde_json::from_str(&answer).unwrap_or_default();
    let wanted = |entry: &&Value| {
        entry["service_group"].as_str().and_then(|group| group.split('.').next()) == Some(service)
    };
    let entry = services.as_array().into_iter().flatten().find(wanted);
    let pid =
        entry.and_then(|entry| entry["process"]["pid"].as_i64()).and_then(|pid| i32::try_from(pid).ok());
    match pid {
        Some(pid) => kill(Pid::from_raw(pid), Signal::SIGKILL)
            .map_err(|error| BedError::Failed(format!("{service}: {error}"))),
        None => Err(BedError::Failed(format!("{service} cannot crash: it does not run there"))),
    }
}
