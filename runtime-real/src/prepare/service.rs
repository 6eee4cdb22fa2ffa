//! One service's files: its package is found once, and its files are rendered each time that one of their inputs
//! changes. Never starts the service.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use annulus_core::{
    Bind, BindingMode, Changed, Demoted, Facts, GroupFile, Hook, Obstacle, ObstacleKind, PackageIdent,
    ServiceGroup, ServiceSpec,
};
use nix::sys::signal::Signal;

use super::context::{self, PackageFacts, Sys};
use super::files::{self, Owner};
use super::layers::{LastGood, Layers, Sources};
use super::sealed::{Given, Vault};
use super::svc_context::{self, Own};
use super::{Error, metadata, proven, svc_dirs, untold};
use crate::host::beneath::Dir;
use crate::host::capabilities::Capabilities;
use crate::host::look;
use crate::host::root::Root;
use crate::host::users::{self, RunAs};
use crate::package::{self, DrainPlan, HealthPlan, Inflight, Installed, LimitsPlan, Probe, newest};
use crate::template::Engine;

/// The supervisor's environment, by name.
pub type Env = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The common context of all services of a supervisor.
pub struct Host<'a> {
    /// The root directory, which holds packages and services.
    pub root: &'a Root,
    /// The supervisor.
    pub sys: &'a Sys,
    /// The organization of its service groups.
    pub org: Option<&'a str>,
    /// Its environment: `HAB_<NAME>` for services' configuration, and `PATH`.
    pub env: &'a Env,
    /// The operator's permissions.
    pub allowed: &'a Allowed,
    /// What opens what was sealed for a service's group.
    pub vault: &'a Vault,
}

/// What an operator allows the services of a supervisor beyond the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Services run as the supervisor's own user, root, where they cannot run as the user that they should.
    pub root: bool,
    /// Variables of the supervisor's environment that their programs get.
    pub variables: Vec<String>,
    /// What was sealed for a service's group counts also where no user signed it.
    pub unsigned: bool,
}

/// A service whose package has been found.
#[derive(Debug)]
pub struct Service {
    spec: ServiceSpec,
    package: Installed,
    group: ServiceGroup,
    svc: PathBuf,
    /// The directory of default.toml and the templates.
    from: PathBuf,
    facts: PackageFacts,
    binds: Vec<Bind>,
    health: Option<HealthPlan>,
    /// Whether its files are written beside a process.
    is_beside: bool,
    drain: DrainPlan,
    run_as: RunAs,
    last: LastGood,
    /// The operators' layers that count in the place of those that are there.
    held: Option<LastGood>,
    /// Those that were there when it was opened or last rendered.
    hooks: BTreeSet<Hook>,
    fixed: Fixed,
}

/// What a package says about its service; it never changes.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The polite signal.
    pub shutdown_signal: Signal,
    /// Time from the polite signal to KILL, in milliseconds.
    pub shutdown_timeout_ms: u64,
    /// What happens to the service when its member leads no longer.
    pub demoted: Demoted,
    /// Limits of the service on its host.
    pub limits: LimitsPlan,
    /// The capabilities that its processes keep.
    pub capabilities: Capabilities,
}

/// The result of rendering a service's files.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The exported part of its configuration, as TOML.
    pub exports_toml: String,
    /// What differs from the earlier files.
    pub changed: Changed,
    /// Those files, relative to the service's folder.
    pub files: Vec<String>,
    /// The configuration in use.
    pub layers: Layers,
    /// How the service's health is checked, fully rendered.
    pub health: Option<HealthPlan>,
    /// How it is drained, fully rendered.
    pub drain: DrainPlan,
    /// What the files were written in spite of.
    pub obstacles: Vec<Obstacle>,
}

/// Whether a spec can run at all: its package is installed and is a service, every bind that it needs is given, and
/// every bind that is given is one of its own.
///
/// # Errors
/// What keeps it from running, and what to do.
pub fn check(root: &Root, spec: &ServiceSpec) -> Result<(), Error> {
    let package = newest(root, &spec.ident)?;
    metadata::check_binds(&package, &metadata::binds(&package)?, spec)?;
    let from = templates_of(spec, &package)?;
    let hook = from.join(svc_dirs::HOOKS).join(Hook::Run.name());
    if is_file(&hook)? || is_file(&package.path().join(svc_dirs::RUN_FILE))? {
        return Ok(());
    }
    Err(Error::NotAService { ident: package.ident().to_string() })
}

/// The directory with the service's hooks and templates: the package, unless the spec names another.
fn templates_of(spec: &ServiceSpec, package: &Installed) -> Result<PathBuf, Error> {
    let from = spec.config_from.as_ref().map_or_else(|| package.path().to_owned(), PathBuf::from);
    if look::is_dir(&from).map_err(Error::io(&from))? {
        return Ok(from);
    }
    let message = format!("{} is not a directory; give another to --config-from", from.display());
    Err(Error::Spec { message })
}

impl Service {
    /// Finds the newest installed package that a spec asks for.
    ///
    /// # Errors
    /// No package fits, it is no service, or one of its metafiles is malformed.
    pub fn open(host: &Host<'_>, spec: &ServiceSpec) -> Result<Self, Error> {
        let package = newest(host.root, &spec.ident)?;
        let binds = metadata::binds(&package)?;
        metadata::check_binds(&package, &binds, spec)?;
        let name = package.ident().service_name();
        let from = templates_of(spec, &package)?;
        let path = (host.env)("PATH").and_then(|path| path.into_string().ok());
        let facts = PackageFacts::read(host.root, &package, path.as_deref())?;
        let group = spec.service_group(host.org).map_err(|error| Error::Spec {
            message: format!("the group {:?} of {}: {error}", spec.group, spec.ident),
        })?;
        let fixed = Fixed {
            shutdown_signal: metadata::shutdown_signal(&package)?,
            shutdown_timeout_ms: metadata::shutdown_timeout_ms(&package, spec)?,
            demoted: metadata::demoted(&package)?,
            limits: metadata::limits(&package)?,
            capabilities: metadata::capabilities(&package)?,
        };
        may_pass_on(&package, fixed.capabilities)?;
        let run_as = users::run_as(facts.user.as_deref(), facts.group.as_deref(), host.allowed.root)?;
        Ok(Self {
            svc: host.root.svc(&name),
            health: metadata::health(&package)?,
            is_beside: false,
            drain: metadata::drain(&package)?,
            last: LastGood::default(),
            held: None,
            hooks: hooks_in(&from)?,
            spec: spec.clone(),
            package,
            group,
            from,
            facts,
            binds,
            run_as,
            fixed,
        })
    }

    /// Continues with the well-formed layers of an earlier rendering of this service; without one, with those that the
    /// last supervisor kept.
    pub fn set_last_good(&mut self, last: Option<&LastGood>) {
        self.last = last.cloned().or_else(|| proven::read(&self.svc)).unwrap_or_default();
    }

    /// The last well-formed content of the layers that may change.
    #[must_use]
    pub fn last_good(&self) -> &LastGood {
        &self.last
    }

    /// Merges the configuration and says how the service is checked and drained; no file is touched.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn look(&mut self, host: &Host<'_>, facts: &Facts) -> Result<Written, Error> {
        let mut found = self.merge(host, &self.given(host, facts)?)?;
        let cfg = found.layers.merged();
        let context = self.context(host, facts, &cfg, &exports(&cfg, &self.facts.exports));
        self.render_plans(&mut found, &Engine::new(self.facts.deps.clone()), &context)?;
        Ok(found)
    }

    /// What a rendering finds before it renders a file.
    fn merge(&mut self, host: &Host<'_>, given: &Given) -> Result<Written, Error> {
        let layers = self.layers(host, given)?;
        self.hooks = hooks_in(&self.from)?;
        // What is exported is told to the whole ring.
        let told: BTreeMap<String, String> =
            self.facts.exports.clone().into_iter().filter(|(_, path)| !layers.is_sealed(path)).collect();
        let exports = exports(&layers.merged(), &told);
        let mut obstacles = given.obstacles.clone();
        let warnings = layers.warnings.iter();
        obstacles.extend(warnings.map(|what| Obstacle::new(ObstacleKind::Layer, what.clone())));
        Ok(Written {
            exports_toml: toml::to_string(&exports).expect("a table of values that were parsed as TOML"),
            obstacles,
            layers,
            ..Written::default()
        })
    }

    fn render_plans(
        &self,
        written: &mut Written,
        engine: &Engine,
        context: &serde_json::Value,
    ) -> Result<(), Error> {
        written.health =
            self.health.as_ref().map(|plan| self.rendered_health(plan, engine, context)).transpose()?;
        written.drain = self.rendered_drain(engine, context)?;
        Ok(())
    }

    /// Merges the configuration and renders everything with it. Nothing is written when a template fails, nor while a
    /// strict service lacks a group that it is bound to and that its templates need.
    ///
    /// # Errors
    /// A layer that is malformed and was never well-formed, a template that fails (the message names file, line and
    /// key), or a disk that refuses. Unless it is the disk, no file has changed.
    pub fn render(&mut self, host: &Host<'_>, facts: &Facts) -> Result<Written, Error> {
        let given = self.given(host, facts)?;
        let mut written = self.merge(host, &given)?;
        if self.waits_for_binds(facts) {
            self.require_run()?;
            return Ok(written);
        }
        let cfg = written.layers.merged();
        let context = self.context(host, facts, &cfg, &exports(&cfg, &self.facts.exports));
        let engine = Engine::new(self.facts.deps.clone());
        let mut rendered = Vec::new();
        for folder in [svc_dirs::HOOKS, svc_dirs::CONFIG, svc_dirs::CONFIG_INSTALL] {
            files::render_folder(&engine, &context, &self.from.join(folder), folder, &mut rendered)?;
        }
        rendered.push(files::run_file(&self.package, &rendered)?);
        self.render_plans(&mut written, &engine, &context)?;

        let owner = Owner::of(&self.run_as);
        let dir = svc_dirs::make(&self.svc, owner).map_err(Error::io(&self.svc))?;
        self.note_changes(&dir, &rendered, &given.files)?;
        for file in &rendered {
            if file.write(&dir, owner).map_err(Error::io(&self.svc.join(&file.path)))? {
                written.files.push(file.path.clone());
            }
        }
        let removed = files::remove_old_hooks(&dir, &rendered);
        written.files.extend(removed.map_err(Error::io(&self.hooks_dir()))?);
        written.changed = files::changed(&written.files);
        let group_files = files::write_group_files(&dir, &given.files, owner);
        let (fresh, refused) = group_files.map_err(Error::io(&self.svc.join(svc_dirs::FILES)))?;
        written.changed.files = !fresh.is_empty();
        written.files.extend(fresh);
        written.obstacles.extend(refused.into_iter().map(|what| Obstacle::new(ObstacleKind::File, what)));
        if self.held.is_none() {
            proven::keep(&dir, &written.layers).map_err(Error::io(&self.svc))?;
        }
        Ok(written)
    }

    /// Before any file changes.
    fn note_changes(
        &self,
        dir: &Dir,
        rendered: &[files::RenderedFile],
        group_files: &[GroupFile],
    ) -> Result<(), Error> {
        if !self.is_beside {
            return untold::forget(dir).map_err(Error::io(&self.svc));
        }
        let mut paths = Vec::new();
        for file in rendered {
            if file.differs(dir).map_err(Error::io(&self.svc.join(&file.path)))? {
                paths.push(file.path.clone());
            }
        }
        let mut changed = files::changed(&paths);
        changed.files = files::group_files_differ(dir, group_files).map_err(Error::io(&self.svc))?;
        untold::note(dir, &changed).map_err(Error::io(&self.svc))
    }

    /// Whether its files are written beside a process from now on, which has to be told what changes.
    pub const fn set_beside(&mut self, is_beside: bool) {
        self.is_beside = is_beside;
    }

    /// What changed beside its process, and that this was not told of.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn add_untold(&self, changed: &mut Changed) -> Result<(), Error> {
        let noted = Dir::open(&self.svc).and_then(|dir| untold::add(&dir, changed));
        noted.map_err(Error::io(&self.svc))
    }

    /// What counts of what its group was given.
    fn given(&self, host: &Host<'_>, facts: &Facts) -> Result<Given, Error> {
        host.vault.open(&self.group, facts)
    }

    /// Reads the layers as they are now.
    ///
    /// # Errors
    /// Names the layer that is malformed, with line and column.
    fn layers(&mut self, host: &Host<'_>, given: &Given) -> Result<Layers, Error> {
        let name = self.package.ident().service_name();
        let sources = Sources {
            service: name.as_str(),
            defaults: &self.from.join("default.toml"),
            user: &host.root.user_toml(&name),
            group: given.config.as_ref().map(|(config, user)| (config, user.as_deref())),
            env: host.env,
        };
        match &self.held {
            Some(held) => Layers::load_held(&sources, held),
            None => Layers::load(&sources, &mut self.last),
        }
    }

    /// As [`Self::render`], for a process that is to be started: where a template fails with what the operators say now, or a
    /// full disk takes no files, everything is rendered with what they said when that last succeeded. Files that have these
    /// texts already want no room.
    ///
    /// # Errors
    /// As [`Self::render`], with both.
    pub fn render_to_start(&mut self, host: &Host<'_>, facts: &Facts) -> Result<Written, Error> {
        let error = match self.render(host, facts) {
            Err(error @ Error::Template(_)) => error,
            Err(Error::Package(error)) if error.is_of_files() => Error::Package(error),
            rendered => return rendered,
        };
        let Some(proven) = proven::read(&self.svc) else { return Err(error) };
        self.held = Some(proven);
        let rendered = self.render(host, facts);
        self.held = None;
        // The error with the layers as they are now is the one that an operator can do something about.
        let Ok(mut written) = rendered else { return Err(error) };
        let Obstacle { kind, what, .. } = error.into();
        let what = format!("{what}\nuntil it is mended, the service runs with the configuration before it");
        written.obstacles.push(Obstacle::new(kind, what));
        Ok(written)
    }

    /// Checks that the files of a process that runs can be written with these facts.
    ///
    /// # Errors
    /// A strict bind has no members that the files could name.
    pub fn check_binds(&self, facts: &Facts) -> Result<(), Error> {
        if !self.waits_for_binds(facts) {
            return Ok(());
        }
        let message =
            "a strict bind is not satisfied, and the files of its service are not written without it";
        Err(Error::Bind { message: message.to_owned() })
    }

    fn waits_for_binds(&self, facts: &Facts) -> bool {
        let given = self.spec.binds.iter().filter_map(|bind| bind.split_once(':'));
        let mut needed = given.filter_map(|(name, group)| {
            let bind = self.binds.iter().find(|bind| bind.name == name && !bind.optional)?;
            Some((bind, group))
        });
        self.spec.binding_mode == BindingMode::Strict
            && needed.any(|(bind, group)| {
                let group = group.parse().ok().and_then(|group| facts.census.group(&group));
                group.is_none_or(|group| svc_context::unsatisfied(group, &bind.exports).is_some())
            })
    }

    fn context(
        &self,
        host: &Host<'_>,
        facts: &Facts,
        cfg: &toml::Table,
        exports: &toml::Table,
    ) -> serde_json::Value {
        let mut context = context::build(
            host.root,
            (self.package.ident(), self.package.path()),
            &self.facts,
            cfg,
            host.sys,
        );
        let own = Own { sys: host.sys, ident: self.package.ident(), group: &self.group, exports };
        context["svc"] = svc_context::svc(&own, facts);
        context["bind"] = svc_context::bind(&self.spec.binds, &self.binds, facts);
        context
    }

    fn rendered_health(
        &self,
        plan: &HealthPlan,
        engine: &Engine,
        context: &serde_json::Value,
    ) -> Result<HealthPlan, Error> {
        let path = self.package.path().join("HEALTH");
        let probe = match &plan.probe {
            Some(Probe::Http(text)) => Some(Probe::Http(engine.render(&path, text, context)?)),
            Some(Probe::Tcp(text)) => Some(Probe::Tcp(engine.render(&path, text, context)?)),
            Some(Probe::Unix(text)) => Some(Probe::Unix(engine.render(&path, text, context)?)),
            None => None,
        };
        Ok(HealthPlan { probe, ..plan.clone() })
    }

    fn rendered_drain(&self, engine: &Engine, context: &serde_json::Value) -> Result<DrainPlan, Error> {
        let path = self.package.path().join("DRAIN");
        let inflight = match &self.drain.inflight {
            None => None,
            Some(Inflight::Http(text)) => Some(Inflight::Http(engine.render(&path, text, context)?)),
            Some(Inflight::Connections(text)) => {
                Some(Inflight::Connections(engine.render(&path, text, context)?))
            }
        };
        Ok(DrainPlan { inflight, ..self.drain.clone() })
    }

    fn require_run(&self) -> Result<(), Error> {
        let is_service =
            self.hooks.contains(&Hook::Run) || is_file(&self.package.path().join(svc_dirs::RUN_FILE))?;
        let ident = self.package.ident().to_string();
        if is_service { Ok(()) } else { Err(Error::NotAService { ident }) }
    }

    /// The hooks that the service has.
    #[must_use]
    pub fn hooks(&self) -> &BTreeSet<Hook> {
        &self.hooks
    }

    /// Where its hooks are rendered to.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
        self.svc.join(svc_dirs::HOOKS)
    }

    /// The program to run.
    #[must_use]
    pub fn run_path(&self) -> PathBuf {
        self.svc.join(svc_dirs::RUN_FILE)
    }

    /// The file for the pid of its process.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.svc.join(svc_dirs::PID_FILE)
    }

    /// The service's folder.
    #[must_use]
    pub fn svc_path(&self) -> &Path {
        &self.svc
    }

    /// The fully qualified ident of the package that runs.
    #[must_use]
    pub fn ident(&self) -> &PackageIdent {
        self.package.ident()
    }

    /// Its service group.
    #[must_use]
    pub fn group(&self) -> &ServiceGroup {
        &self.group
    }

    /// Its binds.
    #[must_use]
    pub fn binds(&self) -> &[Bind] {
        &self.binds
    }

    /// The variables of its processes.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.facts.env
    }

    /// The user that it runs as.
    #[must_use]
    pub fn run_as(&self) -> &RunAs {
        &self.run_as
    }

    /// What its package says about it; it never changes.
    #[must_use]
    pub fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    /// Whether its health can be asked for: by its hook, or by a check of its plan.
    #[must_use]
    pub fn has_health_check(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.probe.is_some())
            || self.hooks.contains(&Hook::HealthCheck)
    }

    /// How its plan wants its health checked.
    #[must_use]
    pub fn health(&self) -> Option<&HealthPlan> {
        self.health.as_ref()
    }

    /// How it is drained.
    #[must_use]
    pub fn drain(&self) -> &DrainPlan {
        &self.drain
    }
}

fn is_file(path: &Path) -> Result<bool, Error> {
    look::is_file(path).map_err(Error::io(path))
}

/// The hooks of which a directory has templates.
fn hooks_in(from: &Path) -> Result<BTreeSet<Hook>, Error> {
    let mut found = BTreeSet::new();
    for hook in Hook::ALL {
        if is_file(&from.join(svc_dirs::HOOKS).join(hook.name()))? {
            found.insert(*hook);
        }
    }
    Ok(found)
}

/// Checks that this supervisor has the capabilities that a plan asks for: its launcher cannot give what it has not.
fn may_pass_on(package: &Installed, asked: Capabilities) -> Result<(), Error> {
    let missing = asked.without(Capabilities::of_this_process().unwrap_or(asked));
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} asks for {missing}, which this supervisor does not have itself: run it as root or give it that (in its \
         systemd unit: AmbientCapabilities=), or take it out of `capabilities` in the plan",
        package.ident()
    );
    Err(Error::Rights { message })
}

/// The exported part of a configuration; values that are not set are left out (as in Habitat).
fn exports(cfg: &toml::Table, exports: &BTreeMap<String, String>) -> toml::Table {
    let set =
        exports.iter().filter_map(|(name, path)| Some((name.clone(), package::lookup(cfg, path)?.clone())));
    set.collect()
}
