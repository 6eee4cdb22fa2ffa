//! Names the places of all files: the root directory and the folders below it. Makes no folder: the module that writes
//! into one does.
//!
//! One root holds packages, keys, services and supervisors, laid out as Habitat lays out `/hab`:
//!
//! ```text
//! <root>/pkgs/<origin>/<name>/<version>/<release>/   installed packages
//! <root>/cache/keys/                                 key files
//! <root>/cache/artifacts/                            built packages
//! <root>/svc/<service>/{config,hooks,data,…,run,PID} one service each
//! <root>/user/<service>/config/user.toml             the operator's configuration of a service
//! <root>/sup/<name>/{LOCK,CTL_SECRET,ctl.sock,data/,specs/}   one supervisor each
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use annulus_core::{PackageIdent, ServiceName};
use nix::unistd::geteuid;
use thiserror::Error;

/// Names the root in the environment, below the `--root` option.
pub const ROOT_ENV: &str = "ANNULUS_ROOT";
/// The root of a supervisor that runs as the superuser, unless an option or variable names another.
pub const ROOT_SYSTEM: &str = "/hab";

/// Why there is no root directory.
#[derive(Debug, Error)]
pub enum RootError {
    /// No option and no variable says where it is.
    #[error(
        "no root directory: neither --root, ANNULUS_ROOT, XDG_DATA_HOME nor HOME is set; name one with --root DIR"
    )]
    Unknown,
    /// A relative path could not be completed.
    #[error("root directory {path}: {source}; give an absolute path")]
    Path {
        /// The path as given.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// The root directory, an absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// The root at `path`, made absolute; nothing is created.
    ///
    /// # Errors
    /// The path is empty, or relative while the working directory is gone.
    pub fn new(path: &Path) -> Result<Self, RootError> {
        std::path::absolute(path)
            .map(Self)
            .map_err(|source| RootError::Path { path: path.to_owned(), source })
    }

    /// The root that `--root` names, else `ANNULUS_ROOT`, else `/hab` for the superuser and `$XDG_DATA_HOME/annulus`
    /// or `~/.local/share/annulus` for other users.
    ///
    /// # Errors
    /// None of these is set, or the path cannot be made absolute.
    pub fn resolve(flag: Option<&Path>) -> Result<Self, RootError> {
        Self::choose(flag, geteuid().is_root(), |name| std::env::var_os(name))
    }

    fn choose(
        flag: Option<&Path>,
        superuser: bool,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, RootError> {
        // An empty variable counts as unset (as in Habitat).
        let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = flag {
            return Self::new(path);
        }
        if let Some(path) = set(ROOT_ENV) {
            return Self::new(&path);
        }
        if superuser {
            return Self::new(Path::new(ROOT_SYSTEM));
        }
        let data_home = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        Self::new(&data_home.ok_or(RootError::Unknown)?.join("annulus"))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Installed packages.
    #[must_use]
    pub fn pkgs(&self) -> PathBuf {
        self.0.join("pkgs")
    }

    /// Where this build of a package is installed; none when the ident is not fully qualified.
    #[must_use]
    pub fn package(&self, ident: &PackageIdent) -> Option<PathBuf> {
        let (version, release) = (ident.version()?, ident.release()?);
        Some(self.pkgs().join(ident.origin()).join(ident.name()).join(version).join(release))
    }

    /// Key files.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("cache/keys")
    }

    /// A file that processes which change installed packages lock against each other. `what` is part of its name.
    #[must_use]
    pub fn package_lock(&self, what: &str) -> PathBuf {
        self.0.join("cache/locks").join(what)
    }

    /// Built packages.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.0.join("cache/artifacts")
    }

    /// One service's folder.
    #[must_use]
    pub fn svc(&self, service: &ServiceName) -> PathBuf {
        self.0.join("svc").join(service.as_str())
    }

    /// The log of a service; older lines are in files beside it.
    #[must_use]
    pub fn svc_log(&self, service: &ServiceName) -> PathBuf {
        self.svc(service).join("logs").join(format!("{service}.log"))
    }

    /// The operator's configuration of a service.
    #[must_use]
    pub fn user_toml(&self, service: &ServiceName) -> PathBuf {
        self.0.join("user").join(service.as_str()).join("config/user.toml")
    }

    /// The supervisor of this name (`--override-name`), which has to be one path component.
    #[must_use]
    pub fn sup(&self, name: &str) -> SupDir {
        SupDir(self.0.join("sup").join(name))
    }
}

/// One supervisor's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupDir(PathBuf);

impl SupDir {
    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Held, with the holder's pid inside, while the supervisor runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("LOCK")
    }

    /// The secret that gives an operator access to the ctl gateway.
    #[must_use]
    pub fn ctl_secret(&self) -> PathBuf {
        self.0.join("CTL_SECRET")
    }

    /// Where the ctl gateway listens for commands of this host.
    #[must_use]
    pub fn ctl_socket(&self) -> PathBuf {
        self.0.join("ctl.sock")
    }

    /// The spec files: one for each service that should run.
    #[must_use]
    pub fn specs(&self) -> PathBuf {
        self.0.join("specs")
    }

    /// The log of the supervisor; older lines are in files beside it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("logs").join("sup.log")
    }

    /// The pid of the supervisor that was ready last.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.0.join("PID")
    }

    /// Where the launcher listens for its supervisor.
    #[must_use]
    pub fn launcher_socket(&self) -> PathBuf {
        self.0.join("launcher.sock")
    }

    /// Where the launcher listens for what its supervisor tells the service manager.
    #[must_use]
    pub fn notify_socket(&self) -> PathBuf {
        self.0.join("notify.sock")
    }

    /// Durable state.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// This supervisor's copies of the keys of its ring.
    #[must_use]
    pub fn ring_keys(&self) -> PathBuf {
        self.data().join("ring-keys")
    }

    /// The invitations that this supervisor has given out.
    #[must_use]
    pub fn invitations(&self) -> PathBuf {
        self.data().join("invitations")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(flag: Option<&str>, superuser: bool, vars: &[(&str, &str)]) -> Result<Root, RootError> {
        Root::choose(flag.map(Path::new), superuser, |name| {
            vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v))
        })
    }

    #[test]
    fn the_nearest_word_wins() {
        let all = [(ROOT_ENV, "/env"), ("XDG_DATA_HOME", "/xdg"), ("HOME", "/home/me")];
        let path = |root: Result<Root, RootError>| root.expect("a root").path().to_owned();
        assert_eq!(path(choose(Some("/flag"), true, &all)), Path::new("/flag"));
        assert_eq!(path(choose(None, true, &all)), Path::new("/env"));
        assert_eq!(path(choose(None, true, &all[1..])), Path::new("/hab"));
        assert_eq!(path(choose(None, false, &all[1..])), Path::new("/xdg/annulus"));
        assert_eq!(path(choose(None, false, &all[2..])), Path::new("/home/me/.local/share/annulus"));
        assert_eq!(path(choose(None, true, &[(ROOT_ENV, "")])), Path::new("/hab"), "empty counts as unset");
        assert!(matches!(choose(None, false, &[]), Err(RootError::Unknown)));
    }

    #[test]
    fn a_relative_root_becomes_absolute() {
        assert!(choose(Some("x"), false, &[]).expect("a root").path().is_absolute());
        assert!(matches!(choose(Some(""), false, &[]), Err(RootError::Path { .. })));
    }

    #[test]
    fn only_a_full_ident_has_a_place() {
        let root = Root::new(Path::new("/r")).expect("absolute");
        let full: PackageIdent = "core/redis/7.0/20260101000000".parse().expect("an ident");
        assert_eq!(root.package(&full), Some(PathBuf::from("/r/pkgs/core/redis/7.0/20260101000000")));
        assert_eq!(root.package(&"core/redis".parse().expect("an ident")), None);
    }
}
