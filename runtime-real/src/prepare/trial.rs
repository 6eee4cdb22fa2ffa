//! Tries a plan before it is built: renders everything with the defaults, in made-up rings.
//! Writes no file and runs no hook.
//!
//! In the made-up rings the service is alone, leads, and follows; a fault that shows in several of them is reported
//! once. Other groups export a made-up text for each key that a bind asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use annulus_core::{
    Bind, CensusGroup, CensusMember, Facts, Health, Hook, Instant, MemberId, PackageIdent, Role,
    ServiceGroup, State, SysInfo,
};
use toml::Table;

use super::context::{self, PackageFacts, Sys};
use super::svc_context::{self, Own};
use super::{config, files, interpreter, quoting, svc_dirs};
use crate::host::root::Root;
use crate::package::{self, Inflight, Plan, Probe};
use crate::template::{Engine, slips};

/// The release of a package that has not been built.
const RELEASE: &str = "20000101000000";
/// The group of a service unless an operator names another.
const GROUP: &str = "default";
/// The value of each export of a made-up member.
const EXPORT: &str = "made-up";

/// The result of trying a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// How many templates were tried.
    pub templates: usize,
    /// Errors: the plan could not be built, or its service could not start.
    pub errors: Vec<String>,
    /// Things that work and are probably not meant.
    pub warnings: Vec<String>,
}

impl Trial {
    fn error(&mut self, text: String) {
        if !self.errors.contains(&text) {
            self.errors.push(text);
        }
    }

    fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// Tries the plan in a directory. Dependencies that are not installed below `root` are made up as well.
#[must_use]
pub fn try_plan(root: &Root, dir: &Path) -> Trial {
    let mut trial = Trial::default();
    let plan = match Plan::load(dir) {
        Ok(plan) => plan,
        Err(error) => {
            trial.error(error.to_string());
            return trial;
        }
    };
    let defaults = package::load_table(&dir.join("default.toml")).ok().flatten().unwrap_or_default();
    if config::is_too_deep(&defaults) {
        let deep = format!("default.toml: its tables lie in each other more than {} deep", config::DEPTH_MAX);
        trial.error(deep);
        return trial;
    }
    let templates = templates(dir, &mut trial);
    trial.templates = templates.len();
    check_hooks(dir, &plan, &templates, &mut trial);
    for (name, path) in &plan.exports {
        if package::lookup(&defaults, path).is_none() {
            trial.warn(format!(
                "[exports] {name} is {path:?}, which default.toml does not set: it is not exported"
            ));
        }
    }
    let Ok(ident) = format!("{}/{RELEASE}", plan.ident).parse::<PackageIdent>() else {
        trial.error(format!("{} is not a package ident", plan.ident));
        return trial;
    };
    let bench = Bench { root, dir, plan: &plan, ident, defaults: &defaults };
    let mut contexts = Vec::new();
    for facts in bench.rings() {
        contexts.extend(bench.render(&templates, &facts, &mut trial));
    }
    bench.find_slips(&templates, &contexts, &mut trial);
    trial
}

/// A template's file, and the path that it is rendered to.
type Template = (PathBuf, String);

fn templates(dir: &Path, trial: &mut Trial) -> Vec<Template> {
    let mut found = Vec::new();
    for folder in [svc_dirs::HOOKS, svc_dirs::CONFIG, svc_dirs::CONFIG_INSTALL] {
        match files::templates(&dir.join(folder), folder) {
            Ok(mut templates) => found.append(&mut templates),
            Err(error) => trial.error(error.to_string()),
        }
    }
    found
}

fn check_hooks(dir: &Path, plan: &Plan, templates: &[Template], trial: &mut Trial) {
    let hooks: BTreeSet<&str> = templates.iter().filter_map(|(_, to)| to.strip_prefix("hooks/")).collect();
    let known: Vec<&str> = Hook::ALL.iter().map(|hook| hook.name()).collect();
    for hook in hooks.iter().filter(|hook| hook.parse::<Hook>().is_err() && !hook.contains('/')) {
        trial.warn(format!("hooks/{hook} is never run: the hooks are {}", known.join(", ")));
    }
    let has_hook = hooks.contains(Hook::HealthCheck.name());
    if let Some(misfit) = plan.health.as_ref().and_then(|health| health.misfit(has_hook)) {
        trial.error(misfit.to_owned());
    }
    let runs = hooks.contains(Hook::Run.name()) || dir.join(svc_dirs::RUN_FILE).is_file();
    if !runs && (!templates.is_empty() || plan.health.is_some()) {
        trial.warn("it is not a service: it has neither hooks/run nor run".to_owned());
    }
}

/// A plan that is being tried.
struct Bench<'a> {
    root: &'a Root,
    dir: &'a Path,
    plan: &'a Plan,
    ident: PackageIdent,
    defaults: &'a Table,
}

impl Bench<'_> {
    /// The service alone, as a leader of three and as a follower; with and without its optional binds.
    fn rings(&self) -> [Facts; 3] {
        let (me, other) = (MemberId::from_bytes([1; 16]), MemberId::from_bytes([2; 16]));
        let mut alone = Facts::alone(me);
        self.add_bound(&mut alone, &self.plan.binds);
        let mut leader = alone.clone();
        self.add_bound(&mut leader, &self.plan.binds_optional);
        if let Ok(group) = self.group() {
            let cfg = toml::to_string(&self.exports()).unwrap_or_default();
            add_group(&mut leader, group, &self.ident, &cfg);
        }
        let mut follower = leader.clone();
        leader.role = Some(Role::Leader { term: 1, until: Instant::ZERO });
        follower.role = Some(Role::Follower { term: 1, leader: other });
        [alone, leader, follower]
    }

    fn group(&self) -> Result<ServiceGroup, annulus_core::ParseError> {
        ServiceGroup::new(self.ident.name(), GROUP, None)
    }

    fn add_bound(&self, facts: &mut Facts, binds: &BTreeMap<String, Vec<String>>) {
        for (name, exports) in binds {
            let cfg: Table = exports.iter().map(|key| (key.clone(), EXPORT.into())).collect();
            let cfg = toml::to_string(&cfg).unwrap_or_default();
            if let Ok(group) = ServiceGroup::new(name, GROUP, None) {
                add_group(facts, group, &self.ident, &cfg);
            }
        }
    }

    fn exports(&self) -> Table {
        let set = self.plan.exports.iter();
        set.filter_map(|(name, path)| Some((name.clone(), package::lookup(self.defaults, path)?.clone())))
            .collect()
    }

    fn context(&self, facts: &Facts) -> Option<(Engine, serde_json::Value)> {
        let package = PackageFacts::of_plan(self.root, self.plan);
        let info = sys_info(1);
        let sys = Sys { member_id: facts.me.to_string(), info, permanent: false };
        let mut context = context::build(self.root, (&self.ident, self.dir), &package, self.defaults, &sys);
        let (group, exports) = (self.group().ok()?, self.exports());
        let own = Own { sys: &sys, ident: &self.ident, group: &group, exports: &exports };
        context["svc"] = svc_context::svc(&own, facts);
        let wanted = [(&self.plan.binds, false), (&self.plan.binds_optional, true)];
        let wanted = wanted.into_iter().flat_map(|(binds, optional)| {
            binds.iter().map(move |(name, exports)| Bind {
                name: name.clone(),
                optional,
                exports: exports.clone(),
            })
        });
        let wanted: Vec<Bind> = wanted.collect();
        let given: Vec<String> = wanted.iter().map(|bind| format!("{0}:{0}.{GROUP}", bind.name)).collect();
        context["bind"] = svc_context::bind(&given, &wanted, facts);
        Some((Engine::new(package.deps), context))
    }

    /// Renders everything in a ring, whose context is the answer.
    fn render(&self, templates: &[Template], facts: &Facts, trial: &mut Trial) -> Option<serde_json::Value> {
        let Some((engine, context)) = self.context(facts) else {
            trial.error(format!("{}: too long for the name of a service group", self.ident));
            return None;
        };
        for (path, to) in templates {
            let text = match package::read_text(path) {
                Ok(text) => text,
                Err(error) => {
                    trial.error(error.to_string());
                    continue;
                }
            };
            if to.starts_with("hooks/") {
                for found in quoting::unquoted(&text) {
                    trial.warn(format!("{}, {found}", path.display()));
                }
            }
            match engine.render(path, &text, &context) {
                Ok(rendered) => self.check_program(path, to, &rendered, trial),
                // Named with its place in all branches, below.
                Err(fault) if fault.is_of_helper() => {}
                Err(fault) => trial.error(fault.to_string()),
            }
        }
        self.render_checks(&engine, &context, trial);
        Some(context)
    }

    /// Names that exist in none of the contexts: of what the supervisor gives an error, for it will never be there; of a
    /// setting that no default has a warning, for another layer may have it.
    fn find_slips(&self, templates: &[Template], contexts: &[serde_json::Value], trial: &mut Trial) {
        let of_plan = self.dir.join("plan.toml");
        let files = templates.iter().filter_map(|(path, _)| Some((path, package::read_text(path).ok()?)));
        let checks = self.check_texts().into_iter().map(|text| (&of_plan, text.to_owned()));
        for (path, text) in files.chain(checks) {
            for slip in slips(path, &text, contexts) {
                if slip.is_setting {
                    trial.warn(format!("{}\nset it in default.toml, or it renders as nothing", slip.fault));
                } else {
                    trial.error(slip.fault.to_string());
                }
            }
        }
    }

    /// The templates in the plan itself.
    fn check_texts(&self) -> Vec<&str> {
        let probe =
            self.plan.health.as_ref().and_then(|health| health.probe.as_ref()).map(|probe| match probe {
                Probe::Http(text) | Probe::Tcp(text) | Probe::Unix(text) => text.as_str(),
            });
        let inflight = self.plan.drain.inflight.as_ref().map(|inflight| match inflight {
            Inflight::Http(text) | Inflight::Connections(text) => text.as_str(),
        });
        probe.into_iter().chain(inflight).collect()
    }

    /// A hook is executed as a program.
    fn check_program(&self, path: &Path, to: &str, rendered: &str, trial: &mut Trial) {
        let is_hook = to.strip_prefix("hooks/").is_some_and(|hook| hook.parse::<Hook>().is_ok());
        let fault = interpreter::fault(rendered.as_bytes(), &self.root.pkgs()).filter(|_| is_hook);
        if let Some(fault) = fault {
            trial.error(format!("{} {fault}", path.display()));
        }
    }

    /// Renders the texts of `[health]` and `[drain]`.
    fn render_checks(&self, engine: &Engine, context: &serde_json::Value, trial: &mut Trial) {
        let plan = self.dir.join("plan.toml");
        let mut rendered = |text: &String| match engine.render(&plan, text, context) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(fault) => {
                trial.error(fault.to_string());
                None
            }
        };
        let mut urls = Vec::new();
        let mut ports = Vec::new();
        match self.plan.health.as_ref().and_then(|health| health.probe.as_ref()) {
            Some(Probe::Http(url)) => urls.extend(rendered(url)),
            Some(Probe::Tcp(text) | Probe::Unix(text)) => drop(rendered(text)),
            None => {}
        }
        match &self.plan.drain.inflight {
            Some(Inflight::Http(url)) => urls.extend(rendered(url)),
            Some(Inflight::Connections(port)) => ports.extend(rendered(port)),
            None => {}
        }
        for url in urls.iter().filter(|url| !url.starts_with("http://")) {
            trial.error(format!("{}: {url:?} is not a URL that begins with http://", plan.display()));
        }
        for port in ports.iter().filter(|port| port.parse::<u16>().is_err()) {
            trial.error(format!("{}: [drain] connections is {port:?}, which is not a port", plan.display()));
        }
    }
}

fn sys_info(n: u8) -> SysInfo {
    SysInfo {
        ip: IpAddr::from([192, 0, 2, n]).to_string(),
        hostname: format!("{EXPORT}-{n}"),
        gossip_ip: IpAddr::from([192, 0, 2, n]).to_string(),
        gossip_port: 9638,
        http_gateway_ip: "0.0.0.0".to_owned(),
        http_gateway_port: 9631,
        ctl_gateway_ip: "127.0.0.1".to_owned(),
        ctl_gateway_port: 9632,
    }
}

fn add_group(facts: &mut Facts, group: ServiceGroup, ident: &PackageIdent, cfg: &str) {
    let member = |n: u8| CensusMember {
        member_id: MemberId::from_bytes([n; 16]),
        pkg: ident.clone(),
        pkg_incarnation: 0,
        initialized: true,
        sys: sys_info(n),
        cfg: cfg.to_owned(),
        health: Health::Ok,
        accepting: true,
        maintenance: None,
        config_incarnation: 0,
        versions_digest: 0,
        held_back: BTreeSet::new(),
        slow_hook: None,
        state: Some(if n == 3 { State::Suspect } else { State::Alive }),
        permanent: false,
    };
    let population = (1..=3).map(|n| (MemberId::from_bytes([n; 16]), member(n))).collect();
    let of_group = CensusGroup { population, ..CensusGroup::new(&group) };
    facts.census.groups.insert(group, of_group);
}
