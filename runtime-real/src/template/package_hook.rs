//! Hooks of a package itself, which run without a service: `install` and `uninstall`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::context::{self, PackageFacts};
use super::engine::Engine;
use super::{Error, Sys, config, render_folder, svc_dirs};
use crate::package::{self, Installed};
use crate::root::Root;

/// A package's hook, ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageHook {
    /// The rendered hook.
    pub program: PathBuf,
    /// Where it runs: the service's folder.
    pub dir: PathBuf,
    /// Its variables.
    pub env: BTreeMap<String, String>,
}

/// Renders a hook of a package, and `config_install/`, which is for such hooks, into the service's folder.
///
/// # Errors
/// A layer of the configuration or a template is malformed, or the disk refuses.
pub fn package_hook(
    root: &Root,
    package: &Installed,
    hook: &str,
    sys: &Sys,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PackageHook, Error> {
    let name = package.ident().service_name();
    let (svc, from) = (root.svc(&name), package.path());
    let cfg = config::load(name.as_str(), &from.join("default.toml"), &root.user_toml(&name), env)?;
    let facts = PackageFacts::read(root, package, env("PATH").as_deref())?;
    let context = context::build(root, package, &facts, &cfg, sys);
    let engine = Engine::new(facts.deps.clone());
    let mut files = Vec::new();
    let folder = svc_dirs::CONFIG_INSTALL;
    render_folder(&engine, &context, &from.join(folder), folder, &mut files)?;
    let source = from.join(svc_dirs::HOOKS).join(hook);
    let content = engine.render(&source, &package::read_text(&source)?, &context)?;
    files.push(super::RenderedFile {
        path: format!("{}/{hook}", svc_dirs::HOOKS),
        content: content.into_bytes(),
        mode: svc_dirs::SUPERVISOR_MODE,
    });
    svc_dirs::make(&svc).map_err(Error::io(&svc))?;
    for file in &files {
        file.write(&svc)?;
    }
    Ok(PackageHook { program: svc.join(svc_dirs::HOOKS).join(hook), dir: svc, env: facts.env })
}

/// The variables that a package's programs run with; `env` looks up those of the caller.
///
/// # Errors
/// A metafile is malformed.
pub fn package_env(
    root: &Root,
    package: &Installed,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Error> {
    Ok(PackageFacts::read(root, package, env("PATH").as_deref())?.env)
}
