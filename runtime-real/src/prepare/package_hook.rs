//! Renders the hooks of a package itself, which run without a service:
//! `install` and `uninstall`. Runs none: `hook` does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::context::{self, PackageFacts};
use super::files::{self, Owner, RenderedFile};
use super::layers::{LastGood, Layers, Sources};
use super::{Allowed, Error, Sys, svc_dirs};
use crate::host::environment;
use crate::host::root::Root;
use crate::host::users::{self, Account};
use crate::package::{self, Installed};
use crate::template::Engine;

/// A package's hook, ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageHook {
    /// The rendered hook.
    pub program: PathBuf,
    /// Where it runs: the service's folder.
    pub dir: PathBuf,
    /// All its variables.
    pub env: BTreeMap<OsString, OsString>,
    /// The user that it runs as; none for the caller's own user.
    pub account: Option<Account>,
}

/// Renders a hook of a package, and the `config_install/` files that such hooks use, into the service's folder.
///
/// # Errors
/// A layer of the configuration or a template is malformed, or the disk refuses.
pub fn package_hook(
    root: &Root,
    package: &Installed,
    hook: &str,
    (sys, allowed): (&Sys, &Allowed),
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PackageHook, Error> {
    let name = package.ident().service_name();
    let (svc, from) = (root.svc(&name), package.path());
    let sources = Sources {
        service: name.as_str(),
        defaults: &from.join("default.toml"),
        user: &root.user_toml(&name),
        group: None,
        env: &|variable| env(variable).map(Into::into),
    };
    let cfg = Layers::load(&sources, &mut LastGood::default())?.merged();
    let facts = PackageFacts::read(root, package, env("PATH").as_deref())?;
    let run_as = users::run_as(facts.user.as_deref(), facts.group.as_deref(), allowed.root)?;
    let owner = Owner::of(&run_as);
    let context = context::build(root, (package.ident(), from), &facts, &cfg, sys);
    let engine = Engine::new(facts.deps.clone());
    let mut rendered = Vec::new();
    let folder = svc_dirs::CONFIG_INSTALL;
    files::render_folder(&engine, &context, &from.join(folder), folder, &mut rendered)?;
    let source = from.join(svc_dirs::HOOKS).join(hook);
    let content = engine.render(&source, &package::read_text(&source)?, &context)?;
    rendered.push(RenderedFile::program(format!("{}/{hook}", svc_dirs::HOOKS), content.into_bytes()));
    let dir = svc_dirs::make(&svc, owner).map_err(Error::io(&svc))?;
    for file in &rendered {
        file.write(&dir, owner).map_err(Error::io(&svc.join(&file.path)))?;
    }
    let account = run_as.account().cloned();
    let env = programs_env(&facts.env, account.as_ref(), allowed);
    Ok(PackageHook { program: svc.join(svc_dirs::HOOKS).join(hook), dir: svc, env, account })
}

/// All variables of a package's programs, from what is listed (`host/environment.rs`), the package itself, and the user
/// that they run as, unless that is the supervisor's own; the later of these count.
pub(super) fn programs_env(
    package: &BTreeMap<String, String>,
    account: Option<&Account>,
    allowed: &Allowed,
) -> BTreeMap<OsString, OsString> {
    let mut env = environment::passed(std::env::vars_os(), account.is_none(), &allowed.variables);
    env.extend(package.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))));
    env.extend(account.into_iter().flat_map(Account::env));
    env
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
