//! The part of a template's context that concerns the package, its configuration and the supervisor: `pkg`, `cfg` and
//! `sys` (as in Habitat). Makes JSON, and renders nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use annulus_core::{PackageIdent, SysInfo};
use serde_json::{Value as Json, json};

use super::{Error, svc_dirs};
use crate::host::root::Root;
use crate::package::{Installed, MetaFile, Plan, newest};

/// The root that Habitat's packages name in their own paths.
const HABITAT_ROOT: &str = "/hab";

/// This supervisor as templates see it.
#[derive(Clone, Debug)]
pub struct Sys {
    /// The member's id, 32 hex digits.
    pub member_id: String,
    /// Its host and listeners.
    pub info: SysInfo,
    /// Whether it is a permanent peer.
    pub permanent: bool,
}

impl Sys {
    fn to_json(&self) -> Json {
        let info = &self.info;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "member_id": self.member_id,
            "ip": info.ip,
            "hostname": info.hostname,
            "gossip_ip": info.gossip_ip,
            "gossip_port": info.gossip_port,
            "http_gateway_ip": info.http_gateway_ip,
            "http_gateway_port": info.http_gateway_port,
            "ctl_gateway_ip": info.ctl_gateway_ip,
            "ctl_gateway_port": info.ctl_gateway_port,
            "permanent": self.permanent,
        })
    }
}

/// The facts about a package from which its templates are rendered.
#[derive(Debug)]
pub(super) struct PackageFacts {
    pub env: BTreeMap<String, String>,
    pub exports: BTreeMap<String, String>,
    pub user: Option<String>,
    pub group: Option<String>,
    /// Each dependency, also those of dependencies, with its directory.
    pub deps: Vec<(PackageIdent, PathBuf)>,
    direct_deps: Vec<PackageIdent>,
    exposes: Vec<String>,
}

impl PackageFacts {
    /// Reads the metafiles of a package. `path` is the supervisor's own `PATH`, which comes last.
    pub(super) fn read(root: &Root, package: &Installed, path: Option<&str>) -> Result<Self, Error> {
        let direct_deps = package.idents(MetaFile::Deps)?;
        let mut all = direct_deps.clone();
        all.extend(package.idents(MetaFile::Tdeps)?);
        let deps = all.into_iter().filter_map(|ident| Some((ident.clone(), root.package(&ident)?))).collect();
        let exposes = package.metafile(MetaFile::Exposes)?.unwrap_or_default();
        Ok(Self {
            env: environment(root, package, path)?,
            exports: package.pairs(MetaFile::Exports)?,
            user: package.line(MetaFile::SvcUser)?,
            group: package.line(MetaFile::SvcGroup)?,
            deps,
            direct_deps,
            exposes: exposes.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// The facts that a plan's package will have. Dependencies that are not installed are made up.
    pub(super) fn of_plan(root: &Root, plan: &Plan) -> Self {
        let deps = plan.deps.iter().map(|wanted| match newest(root, wanted) {
            Ok(found) => (found.ident().clone(), found.path().to_owned()),
            Err(_) => (wanted.clone(), root.pkgs().join(wanted.to_string())),
        });
        let deps: Vec<(PackageIdent, PathBuf)> = deps.collect();
        Self {
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            exports: plan.exports.clone(),
            user: Some(plan.service.user.clone()),
            group: Some(plan.service.group.clone()),
            direct_deps: deps.iter().map(|(ident, _)| ident.clone()).collect(),
            deps,
            exposes: plan.exposes.iter().map(u16::to_string).collect(),
        }
    }
}

/// The variables of a package's processes. Paths below `/hab` are moved below the root.
fn environment(
    root: &Root,
    package: &Installed,
    path: Option<&str>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut env = package.pairs(MetaFile::RuntimeEnvironment)?;
    for value in env.values_mut() {
        let moved: Vec<String> = value.split(':').map(|part| below_root(root, part)).collect();
        *value = moved.join(":");
    }
    let own = match env.remove("PATH") {
        Some(own) => Some(own),
        None => package
            .line(MetaFile::RuntimePath)?
            .map(|line| line.split(':').map(|part| below_root(root, part)).collect::<Vec<_>>().join(":")),
    };
    let parts: Vec<&str> = own.as_deref().into_iter().chain(path).filter(|part| !part.is_empty()).collect();
    env.insert("PATH".to_owned(), parts.join(":"));
    Ok(env)
}

fn below_root(root: &Root, path: &str) -> String {
    match Path::new(path).strip_prefix(HABITAT_ROOT) {
        Ok(inner) => root.path().join(inner).display().to_string(),
        Err(_) => path.to_owned(),
    }
}

pub(super) fn ident_json(ident: &PackageIdent) -> Json {
    json!({
        "origin": ident.origin(),
        "name": ident.name(),
        "version": ident.version(),
        "release": ident.release(),
    })
}

/// The context without `svc` and `bind`.
pub(super) fn build(
    root: &Root,
    (ident, path): (&PackageIdent, &Path),
    facts: &PackageFacts,
    cfg: &toml::Table,
    sys: &Sys,
) -> Json {
    let svc = root.svc(&ident.service_name());
    json!({
        "cfg": super::config::table_to_json(cfg),
        "sys": sys.to_json(),
        "pkg": {
            "ident": ident.to_string(),
            "origin": ident.origin(),
            "name": ident.name(),
            "version": ident.version(),
            "release": ident.release(),
            "deps": facts.direct_deps.iter().map(ident_json).collect::<Vec<_>>(),
            "env": facts.env,
            "exposes": facts.exposes,
            "exports": facts.exports,
            "path": path,
            "svc_path": svc,
            "svc_config_path": svc.join(svc_dirs::CONFIG),
            "svc_config_install_path": svc.join(svc_dirs::CONFIG_INSTALL),
            "svc_data_path": svc.join(svc_dirs::DATA),
            "svc_files_path": svc.join(svc_dirs::FILES),
            "svc_static_path": svc.join(svc_dirs::STATIC),
            "svc_var_path": svc.join(svc_dirs::VAR),
            "svc_pid_file": svc.join(svc_dirs::PID_FILE),
            "svc_run": svc.join(svc_dirs::RUN_FILE),
            "svc_user": facts.user,
            "svc_group": facts.group,
        },
    })
}
