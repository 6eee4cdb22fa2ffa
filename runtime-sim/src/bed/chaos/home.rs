//! The folder of one run: where its hosts, packages, lines and controls are. Knows paths and what they mean, starts and
//! removes nothing.
//!
//! ```text
//! <home>/bin/                        the two programs, so that a build during the run changes nothing
//! <home>/lines                       what all witnesses write
//! <home>/seen/<host>.<service>/<pid> what a hook has told this process
//! <home>/control/<host>.<service>    what hooks do: fail, hang, or wait first
//! <home>/hosts/<host>/               root of a supervisor, a disk of its own where one can be made
//! ```

use std::path::{Path, PathBuf};

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home(pub(crate) PathBuf);

/// The host and service that a rendered file belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) home: Home,
    pub(crate) host: String,
    pub(crate) service: String,
}

/// The rendered file that tells a process its part.
pub(crate) const PART: &str = "part";

impl Home {
    pub(crate) fn lines(&self) -> PathBuf {
        self.0.join("lines")
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }

    pub(crate) fn seen(&self, host: &str, service: &str) -> PathBuf {
        self.0.join("seen").join(format!("{host}.{service}"))
    }

    pub(crate) fn control(&self, host: &str, service: &str) -> PathBuf {
        self.0.join("control").join(format!("{host}.{service}"))
    }

    pub(crate) fn host(&self, host: &str) -> PathBuf {
        self.0.join("hosts").join(host)
    }

    /// The root of a host's supervisor: the disk's own `lost+found` stays outside of it.
    pub(crate) fn root(&self, host: &str) -> PathBuf {
        self.host(host).join("hab")
    }

    pub(crate) fn image(&self, host: &str) -> PathBuf {
        self.0.join("images").join(format!("{host}.img"))
    }

    /// A version of a group's configuration, for `config apply`.
    pub(crate) fn config(&self, service: &str, version: u64) -> PathBuf {
        self.0.join("configs").join(format!("{service}-{version}.toml"))
    }

    /// Every folder that has to be there from the beginning.
    pub(crate) fn folders(&self, hosts: impl Iterator<Item = String>) -> Vec<PathBuf> {
        let fixed = ["bin", "seen", "control", "images", "configs", "logs"].map(|name| self.0.join(name));
        fixed.into_iter().chain(hosts.map(|host| self.host(&host))).collect()
    }

    /// The file that a service's template was rendered to.
    pub(crate) fn part(&self, host: &str, service: &str) -> PathBuf {
        self.root(host).join("svc").join(service).join("config").join(PART)
    }
}

/// The owner of a rendered file, by its path.
pub(crate) fn owner(part: &Path) -> Option<Owner> {
    let mut above = part.ancestors().skip(2);
    let service = above.next()?.file_name()?.to_str()?.to_owned();
    let root = above.nth(1)?;
    let host = root.parent()?;
    let home = Home(host.parent()?.parent()?.to_owned());
    let host = host.file_name()?.to_str()?.to_owned();
    (home.part(&host, &service) == part).then_some(Owner { home, host, service })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_file_is_read_from_its_path() {
        let home = Home(PathBuf::from("/tmp/run"));
        let part = home.part("ada", "steady");
        let expected = Owner { home, host: "ada".to_owned(), service: "steady".to_owned() };
        assert_eq!(owner(&part), Some(expected));
        assert_eq!(owner(Path::new("/etc/passwd")), None);
    }
}
