//! The example plans: folders below `scenarios/plans` that the build puts into the binary, so that a demonstration
//! needs no other file. Writes them out, and changes nothing in them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A plan, and the options that `svc load` gets for it.
pub(super) struct Plan {
    /// Origin and name of the package.
    pub(super) ident: &'static str,
    /// Path, text and mode of each file.
    files: &'static [(&'static str, &'static str, u32)],
    /// The folder below `scenarios/plans` that it was made from.
    #[cfg(test)]
    folder: &'static str,
}

macro_rules! plan {
    ($folder:literal: $($name:literal $mode:literal),+ $(,)?) => {
        Plan {
            ident: concat!("annulus/", $folder),
            files: &[$(($name, include_str!(concat!("../../../../scenarios/plans/", $folder, "/", $name)), $mode)),+],
            #[cfg(test)]
            folder: $folder,
        }
    };
}

/// The plan that answers HTTP requests.
pub(super) static RESPONDER: Plan = plan!("responder":
    "plan.toml" 0o644, "default.toml" 0o644, "config/about.txt" 0o644, "hooks/drain" 0o755,
    "hooks/health-check" 0o755, "hooks/post-stop" 0o755, "hooks/run" 0o755,
);

/// The plan whose group has a leader.
pub(super) static REDIS: Plan = plan!("redis":
    "plan.toml" 0o644, "default.toml" 0o644, "config/redis.conf" 0o644, "hooks/health-check" 0o755,
    "hooks/reconfigure" 0o755, "hooks/run" 0o755, "hooks/suitability" 0o755,
);

impl Plan {
    /// Writes the plan's files into a directory, which is made.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        for (name, text, mode) in self.files {
            let path = dir.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_a_plan_is_left_out() {
        fn count(dir: &Path) -> usize {
            let entries =
                fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        for plan in [&RESPONDER, &REDIS] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/plans").join(plan.folder);
            assert_eq!(count(&source), plan.files.len(), "{}", plan.ident);
            let dir = tempfile::tempdir().expect("dir");
            plan.write(dir.path()).expect("written");
            assert_eq!(count(dir.path()), plan.files.len());
        }
    }
}
