//! Follows the operator's configuration of services on this host: `<root>/user/<service>/config/user.toml`. Has files
//! rendered again, warns of one that shows secrets to every user, and takes no value from it.
//!
//! The folders may come and go, so the supervisor looks at the files instead of watching them; one look costs one
//! system call per service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use annulus_core::{Command, ServiceName};

use crate::host::root::Root;
use crate::host::{look, small_file};
use crate::supervisor::handle::DriverHandle;

/// How often the supervisor looks at the files.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(meta: Metadata) -> Self {
        // The time of the status change, because a writer can set the time of modification to any value.
        Self { inode: meta.ino(), len: meta.len(), changed: (meta.ctime(), meta.ctime_nsec()) }
    }
}

/// What was seen of a file. One that cannot be looked at is not one that is missing: the rendering says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Absent,
    There(Stamp),
    Unreadable(ErrorKind),
}

impl State {
    fn of(path: &Path) -> Self {
        match look::meta(path) {
            Ok(meta) => meta.map_or(Self::Absent, |meta| Self::There(meta.into())),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

/// The files as they were at the last look.
#[derive(Debug, Default)]
struct Seen(BTreeMap<ServiceName, State>);

impl Seen {
    /// Looks at the files of these services, and returns those services whose file has changed since the last look. A
    /// file seen for the first time may have changed since its service was prepared.
    fn look(&mut self, root: &Root, services: &[ServiceName]) -> Vec<ServiceName> {
        let mut changed = Vec::new();
        let mut seen = BTreeMap::new();
        for service in services {
            let state = State::of(&root.user_toml(service));
            if self.0.get(service).copied().unwrap_or_default() != state {
                changed.push(service.clone());
            }
            seen.insert(service.clone(), state);
        }
        self.0 = seen;
        changed
    }
}

/// Words in the names of values that should not be every user's to read.
const SECRET_WORDS: [&str; 5] = ["password", "passwd", "secret", "token", "private_key"];

/// The first value in the file that looks like a secret, if every user of this host may read it.
fn exposed(path: &Path) -> Option<String> {
    let readable = |meta: &std::fs::Metadata, bits: u32| meta.permissions().mode() & bits == bits;
    let folder = path.parent()?.metadata().ok()?;
    if !readable(&path.metadata().ok()?, 0o004) || !readable(&folder, 0o001) {
        return None;
    }
    secret_in(&small_file::read_to_string(path).ok()?.parse().ok()?)
}

fn secret_in(table: &toml::Table) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let lower = name.to_lowercase();
        match value {
            toml::Value::Table(inner) => secret_in(inner).map(|inside| format!("{name}.{inside}")),
            toml::Value::String(text)
                if !text.is_empty() && SECRET_WORDS.iter().any(|word| lower.contains(word)) =>
            {
                Some(name.clone())
            }
            _ => None,
        }
    })
}

/// Warns once of each service whose `user.toml` shows a secret to every user.
fn warn_of_exposed(root: &Root, services: &[ServiceName], told: &mut BTreeSet<ServiceName>) {
    for service in services {
        let path = root.user_toml(service);
        if let Some(name) = exposed(&path).filter(|_| told.insert(service.clone())) {
            tracing::warn!(
                service = service.as_str(),
                "{} sets {name}, and every user of this host may read it; `chmod o= {}` ends that",
                path.display(),
                path.display()
            );
        }
    }
}

/// Has the files of a service rendered again whenever its `user.toml` changes, until the supervisor ends.
pub async fn follow(root: Root, handle: DriverHandle) {
    let (mut seen, mut told) = (Seen::default(), BTreeSet::new());
    loop {
        let loaded =
            |node: &annulus_core::Node| node.services().iter().map(|view| view.spec.name()).collect();
        let Ok(services) = handle.read(loaded).await else { return };
        let services: Vec<ServiceName> = services;
        let root = root.clone();
        let look = tokio::task::spawn_blocking(move || {
            let changed = seen.look(&root, &services);
            warn_of_exposed(&root, &changed, &mut told);
            (seen, told, changed)
        });
        let Ok((looked, warned, changed)) = look.await else { return };
        (seen, told) = (looked, warned);
        for service in changed {
            // A service that was unloaded meanwhile has no files to render.
            let _ = handle.command(Command::RenderService { service }).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_PERIOD) => {}
            _ = handle.ended() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_that_every_user_may_read_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("config");
        fs::create_dir(&folder).expect("made");
        let path = folder.join("user.toml");
        let mode =
            |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        fs::write(&path, "port = 1\n[db]\nadmin_password = \"x\"\n").expect("written");
        mode(&folder, 0o755);
        mode(&path, 0o644);
        assert_eq!(exposed(&path).as_deref(), Some("db.admin_password"));
        mode(&path, 0o640);
        assert_eq!(exposed(&path), None);
        mode(&path, 0o644);
        mode(&folder, 0o750);
        assert_eq!(exposed(&path), None, "other users do not get there");
        mode(&folder, 0o755);
        fs::write(&path, "port = 1\npassword = \"\"\n").expect("written");
        assert_eq!(exposed(&path), None, "nothing is set");
    }

    #[test]
    fn every_change_of_the_file_is_seen_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(dir.path()).expect("absolute");
        let services: Vec<ServiceName> = ["web", "db"].map(|name| name.parse().expect("a name")).to_vec();
        let path = root.user_toml(&services[0]);
        let mut seen = Seen::default();
        let none: [ServiceName; 0] = [];
        assert_eq!(seen.look(&root, &services), none, "there is none");
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        let folder = path.parent().expect("a parent");
        let aside = folder.with_extension("aside");
        let steps: [(&str, &dyn Fn()); 6] = [
            ("made", &|| fs::write(&path, "a = 1").expect("written")),
            ("longer", &|| fs::write(&path, "a = 10").expect("written")),
            ("replaced", &|| {
                let other = path.with_extension("new");
                fs::write(&other, "a = 20").expect("written");
                fs::rename(&other, &path).expect("renamed");
            }),
            ("hidden", &|| {
                fs::rename(folder, &aside).expect("moved");
                std::os::unix::fs::symlink("nowhere", folder).expect("linked");
            }),
            ("shown", &|| {
                fs::remove_file(folder).expect("removed");
                fs::rename(&aside, folder).expect("moved");
            }),
            ("removed", &|| fs::remove_file(&path).expect("removed")),
        ];
        for (what, step) in steps {
            step();
            assert_eq!(seen.look(&root, &services), services[..1], "{what}");
            assert_eq!(seen.look(&root, &services), none, "{what}");
        }
        // The file may have been written between the start of its service and the first look.
        fs::write(&path, "a = 1").expect("written");
        assert_eq!(Seen::default().look(&root, &services), services[..1]);
    }
}
