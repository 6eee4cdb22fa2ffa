//! Follows the operator's configuration of services on this host: `<root>/user/<service>/config/user.toml`. Has files
//! rendered again, and never reads a configuration itself.
//!
//! The folders may come and go, so the supervisor looks at the files instead of watching them; one look costs one
//! system call per service.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use annulus_core::{Command, ServiceName};

use crate::host::look;
use crate::host::root::Root;
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

/// Has the files of a service rendered again whenever its `user.toml` changes, until the supervisor ends.
pub async fn follow(root: Root, handle: DriverHandle) {
    let mut seen = Seen::default();
    loop {
        let loaded =
            |node: &annulus_core::Node| node.services().iter().map(|view| view.spec.name()).collect();
        let Ok(services) = handle.read(loaded).await else { return };
        let services: Vec<ServiceName> = services;
        let root = root.clone();
        let look = tokio::task::spawn_blocking(move || {
            let changed = seen.look(&root, &services);
            (seen, changed)
        });
        let Ok((looked, changed)) = look.await else { return };
        seen = looked;
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
