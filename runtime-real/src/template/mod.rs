//! Makes a service ready to run: finds its package, merges its configuration, renders its templates.
//!
//! All templates are rendered before the first file is written, so a template that fails leaves everything as
//! it was. A file is written only when its content changes.

mod config;
mod context;
mod engine;
mod error;
mod helpers;
mod package_hook;
mod svc_dirs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::{PackageIdent, ServiceSpec};
use nix::sys::signal::Signal;

pub use context::Sys;
pub(crate) use engine::check;
pub use error::{Error, TemplateFault};
pub use package_hook::{PackageHook, package_env, package_hook};

use crate::atomic;
use crate::package::{self, Installed, MetaFile, newest};
use crate::root::Root;
use context::PackageFacts;
use engine::Engine;

/// A service that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The fully qualified ident of the package that will run.
    pub ident: PackageIdent,
    /// The package's directory.
    pub package_path: PathBuf,
    /// The service's folder.
    pub svc_path: PathBuf,
    /// The program to run.
    pub run_path: PathBuf,
    /// Where the pid of its process belongs.
    pub pid_file: PathBuf,
    /// The rendered hooks by name, `run` included where it is one.
    pub hooks: BTreeMap<String, PathBuf>,
    /// The variables of its processes.
    pub env: BTreeMap<String, String>,
    /// Who the package asks to run as.
    pub user: Option<String>,
    /// The group that the package asks to run as.
    pub group: Option<String>,
    /// The polite signal.
    pub shutdown_signal: Signal,
    /// Time from the polite signal to KILL, in milliseconds.
    pub shutdown_timeout_ms: u64,
    /// What other services may learn of its configuration, as TOML.
    pub exports_toml: String,
    /// The files that were written because their content changed, relative to the service's folder.
    pub changed: Vec<String>,
}

/// Finds the newest installed package for a spec and renders its hooks and configuration.
///
/// `env` looks up the supervisor's environment: `HAB_<NAME>` for the service's configuration, and `PATH`.
///
/// # Errors
/// No package, a malformed layer of the configuration, a template that fails (its message names file, line and
/// key), or a disk that refuses. Unless it is the disk, no file has changed.
pub fn prepare_service(
    root: &Root,
    spec: &ServiceSpec,
    sys: &Sys,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Rendered, Error> {
    let package = newest(root, &spec.ident)?;
    check_binds(&package, spec)?;
    let name = package.ident().service_name();
    let svc = root.svc(&name);
    let from = spec.config_from.as_ref().map_or_else(|| package.path().to_owned(), PathBuf::from);
    let cfg = config::load(name.as_str(), &from.join("default.toml"), &root.user_toml(&name), env)?;
    let facts = PackageFacts::read(root, &package, env("PATH").as_deref())?;
    let context = context::build(root, &package, &facts, &cfg, sys);

    let engine = Engine::new(facts.deps.clone());
    let mut files = Vec::new();
    for folder in [svc_dirs::HOOKS, svc_dirs::CONFIG, svc_dirs::CONFIG_INSTALL] {
        render_folder(&engine, &context, &from.join(folder), folder, &mut files)?;
    }
    let run = run_file(&package, &files)?;
    files.push(run);

    svc_dirs::make(&svc).map_err(Error::io(&svc))?;
    let mut changed = Vec::new();
    for file in &files {
        if file.write(&svc)? {
            changed.push(file.path.clone());
        }
    }
    changed.extend(remove_old_hooks(&svc, &files)?);
    let hooks = files.iter().filter_map(|file| {
        let hook = file.path.strip_prefix("hooks/").filter(|hook| !hook.contains('/'))?;
        Some((hook.to_owned(), svc.join(&file.path)))
    });
    let hooks = hooks.collect();
    Ok(Rendered {
        run_path: svc.join(svc_dirs::RUN_FILE),
        pid_file: svc.join(svc_dirs::PID_FILE),
        hooks,
        shutdown_signal: shutdown_signal(&package)?,
        shutdown_timeout_ms: shutdown_timeout_ms(&package, spec)?,
        exports_toml: exports(&cfg, &facts.exports),
        ident: package.ident().clone(),
        package_path: package.path().to_owned(),
        svc_path: svc,
        env: facts.env,
        user: facts.user,
        group: facts.group,
        changed,
    })
}

/// A file of a service's folder.
struct RenderedFile {
    /// Relative to the service's folder.
    path: String,
    content: Vec<u8>,
    mode: u32,
}

impl RenderedFile {
    fn write(&self, svc: &Path) -> Result<bool, Error> {
        let path = svc.join(&self.path);
        let dir = path.parent().unwrap_or(svc);
        svc_dirs::ensure_config_dir(dir).map_err(Error::io(dir))?;
        atomic::write_if_changed(&path, &self.content, self.mode).map_err(Error::io(&path))
    }
}

/// Renders every file below a folder of templates, by name.
fn render_folder(
    engine: &Engine,
    context: &serde_json::Value,
    from: &Path,
    to: &str,
    files: &mut Vec<RenderedFile>,
) -> Result<(), Error> {
    if !from.is_dir() {
        return Ok(());
    }
    let mut entries =
        fs::read_dir(from).and_then(|dir| dir.collect::<Result<Vec<_>, _>>()).map_err(Error::io(from))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{to}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            render_folder(engine, context, &path, &name, files)?;
            continue;
        }
        let text = package::read_text(&path)?;
        let content = engine.render(&path, &text, context)?;
        let is_hook = name.starts_with("hooks/");
        let mode = if is_hook { svc_dirs::SUPERVISOR_MODE } else { svc_dirs::CONFIG_FILE_MODE };
        files.push(RenderedFile { path: name, content: content.into_bytes(), mode });
    }
    Ok(())
}

/// The service's program: a copy of the rendered `run` hook, or of the package's own `run`.
fn run_file(package: &Installed, files: &[RenderedFile]) -> Result<RenderedFile, Error> {
    let hook = files.iter().find(|file| file.path == "hooks/run").map(|file| file.content.clone());
    let content = match hook {
        Some(content) => content,
        None => {
            let own = package.path().join(svc_dirs::RUN_FILE);
            if !own.is_file() {
                return Err(Error::NotAService { ident: package.ident().to_string() });
            }
            fs::read(&own).map_err(Error::io(&own))?
        }
    };
    Ok(RenderedFile { path: svc_dirs::RUN_FILE.to_owned(), content, mode: svc_dirs::SUPERVISOR_MODE })
}

/// Removes hooks that this package does not have, so that none of an older one is run. Says which.
fn remove_old_hooks(svc: &Path, files: &[RenderedFile]) -> Result<Vec<String>, Error> {
    let current: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let dir = svc.join(svc_dirs::HOOKS);
    let mut removed = Vec::new();
    for entry in fs::read_dir(&dir).map_err(Error::io(&dir))? {
        let path = entry.map_err(Error::io(&dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}/{name}", svc_dirs::HOOKS);
        if path.is_file() && !current.contains(name.as_str()) {
            fs::remove_file(&path).map_err(Error::io(&path))?;
            removed.push(name);
        }
    }
    Ok(removed)
}

fn shutdown_signal(package: &Installed) -> Result<Signal, Error> {
    let Some(name) = package.line(MetaFile::ShutdownSignal)? else {
        return Ok(Signal::SIGTERM);
    };
    let signal = package::parse_signal(&name);
    let malformed =
        || package.malformed(MetaFile::ShutdownSignal, format!("{name:?} does not stop a process"));
    Ok(signal.ok_or_else(malformed)?)
}

fn shutdown_timeout_ms(package: &Installed, spec: &ServiceSpec) -> Result<u64, Error> {
    if let Some(ms) = spec.shutdown_timeout_ms {
        return Ok(ms);
    }
    let seconds = match package.line(MetaFile::ShutdownTimeout)? {
        None => package::SHUTDOWN_TIMEOUT_S_DEFAULT,
        Some(text) => {
            let seconds = text.parse().ok().filter(|s| *s <= package::SHUTDOWN_TIMEOUT_S_MAX);
            seconds.ok_or_else(|| {
                let max = package::SHUTDOWN_TIMEOUT_S_MAX;
                package.malformed(
                    MetaFile::ShutdownTimeout,
                    format!("{text:?} is not a number of seconds up to {max}"),
                )
            })?
        }
    };
    Ok(u64::try_from(Duration::from_secs(seconds).as_millis()).unwrap_or(u64::MAX))
}

/// The exported part of a configuration; what is not set is left out (as in Habitat).
fn exports(cfg: &toml::Table, exports: &BTreeMap<String, String>) -> String {
    let set =
        exports.iter().filter_map(|(name, path)| Some((name.clone(), package::lookup(cfg, path)?.clone())));
    toml::to_string(&set.collect::<toml::Table>()).expect("a table of values that were parsed as TOML")
}

/// Every bind that the package needs is given, and every bind that is given exists (as in Habitat).
fn check_binds(package: &Installed, spec: &ServiceSpec) -> Result<(), Error> {
    let needed = package.pairs(MetaFile::Binds)?;
    let optional = package.pairs(MetaFile::BindsOptional)?;
    let given: BTreeSet<&str> =
        spec.binds.iter().map(|bind| bind.split_once(':').map_or(bind.as_str(), |(name, _)| name)).collect();
    let ident = package.ident();
    if let Some(name) = needed.keys().find(|name| !given.contains(name.as_str())) {
        let message = format!("{ident} needs the bind {name:?}; load it with --bind {name}:SERVICE.GROUP");
        return Err(Error::Bind { message });
    }
    let known = |name: &str| needed.contains_key(name) || optional.contains_key(name);
    if let Some(name) = given.into_iter().find(|name| !known(name)) {
        let names: Vec<&str> = needed.keys().chain(optional.keys()).map(String::as_str).collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::Bind { message: format!("{ident} has no bind {name:?}; its binds: {has}") });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
