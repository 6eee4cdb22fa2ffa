//! Where the daemon changes files in or beside directories of services: by descriptors alone.

use annulus_tests::repository;
use annulus_tests::source::{sources, words};

use super::report;

/// The parts of the daemon that work where a service may change things, or for services. What they write goes through
/// `host/beneath.rs`.
const GUARDED: [&str; 3] =
    ["runtime-real/src/prepare/", "runtime-real/src/launcher/", "runtime-real/src/package/unpack.rs"];

/// Ways to change or make a file by its path.
const BY_PATH: [&str; 17] = [
    "fs::write",
    "fs::rename",
    "fs::copy",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::set_permissions",
    "fs::hard_link",
    "unix::fs::symlink",
    "unix::fs::chown",
    "lchown",
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions",
];

/// Files that use such a way where no service can reach, and where that is.
const ELSEWHERE: [(&str, &str); 5] = [
    ("runtime-real/src/launcher/cgroup.rs", "the kernel's tree of control groups"),
    ("runtime-real/src/launcher/link.rs", "the supervisor's own directory"),
    ("runtime-real/src/launcher/notify.rs", "the supervisor's own directory"),
    ("runtime-real/src/prepare/sealed.rs", "the supervisor's own directory"),
    ("runtime-real/src/launcher/sink.rs", "a descriptor that the launcher has already"),
];

#[test]
fn nothing_is_changed_by_its_path_where_a_service_works() {
    let mut findings = Vec::new();
    let mut elsewhere: Vec<&str> = ELSEWHERE.iter().map(|(path, _)| *path).collect();
    for source in sources(&repository(), "runtime-real/src") {
        if !GUARDED.iter().any(|part| source.path.starts_with(part)) {
            continue;
        }
        let ways = BY_PATH.iter().filter(|way| words(&source.shipped, way).next().is_some());
        let ways: Vec<&str> = ways.copied().collect();
        match elsewhere.iter().position(|path| *path == source.path) {
            Some(at) if !ways.is_empty() => drop(elsewhere.swap_remove(at)),
            _ => findings.extend(ways.iter().map(|way| format!("{}: {way}", source.path))),
        }
    }
    findings.extend(elsewhere.iter().map(|path| format!("{path} needs no exception any more")));
    report("use host::beneath::Dir: a path may lead elsewhere by the time that it is used", &findings);
}
