//! Plans, packages, installs: from the author's files to the disk and back.

mod crash;
mod hostile;
mod needs;
mod plans;
mod round_trip;

use std::fs;
use std::path::{Path, PathBuf};

use annulus_core::UnixTime;

use super::*;
use crate::host::root::Root;

/// 2026-01-01 00:00:00 UTC.
pub(crate) const NOW: UnixTime = UnixTime::from_millis(1_767_225_600_000);

/// A root and a working folder, both removed when dropped.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) root: Root,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = Root::new(&dir.path().join("root")).expect("absolute");
        Self { dir, root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a plan's files and returns its directory.
    pub(crate) fn plan(&self, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.path("plan");
        let _ = fs::remove_dir_all(&dir);
        for (name, text) in files {
            write(&dir.join(name), text);
        }
        dir
    }

    pub(crate) fn build(&self, files: &[(&str, &str)]) -> Built {
        build(&self.root, &self.plan(files), &self.path("out"), NOW).expect("built")
    }

    pub(crate) fn install(&self, file: &Path) -> Result<Outcome, Error> {
        install_file(&self.root, file, Limits::default())
    }

    /// Whether no package is installed, not even in part.
    pub(crate) fn is_empty(&self) -> bool {
        list(&self.root).expect("readable").is_empty()
            && fs::read_dir(self.root.pkgs()).is_ok_and(|dir| dir.count() == 0)
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

pub(crate) const PLAN: &str = "origin = \"acme\"\nname = \"shop\"\nversion = \"1.2.0\"\n";

#[test]
fn a_service_is_built_installed_and_found() {
    let bench = Bench::new();
    let plan = format!(
        "{PLAN}description = \"The shop\"\nlicense = [\"MIT\"]\nexposes = [\"port\"]\nfiles = [\"bin\", \"share/page.html\"]\n\
         [exports]\nport = \"http.port\"\nname = \"title\"\n[binds]\ndb = [\"port\", \"user\"]\n\
         [service]\nshutdown_signal = \"SIGQUIT\"\nshutdown_timeout_s = 3\nuser = \"web\"\ngroup = \"www\"\n"
    );
    let files = [
        ("plan.toml", plan.as_str()),
        ("default.toml", "title = \"x\"\n[http]\nport = 8080\n"),
        ("hooks/run", "#!/bin/sh\nexec {{cfg.title}}\n"),
        ("config/a/b.conf", "{{cfg.http.port}}\n"),
        ("bin/tool", "tool"),
        ("share/page.html", "<p>"),
        ("not-named", "stays behind"),
    ];
    let built = bench.build(&files);
    assert!(built.new_key);
    assert_eq!(built.ident.to_string(), "acme/shop/1.2.0/20260101000000");
    let name = format!("acme-shop-1.2.0-20260101000000-{}.hart", host_target());
    assert_eq!(built.path, bench.path("out").join(name));

    let done = bench.install(&built.path).expect("installed");
    assert_eq!((&done.ident, done.already), (&built.ident, false));
    assert_eq!(done.path, bench.root.path().join("pkgs/acme/shop/1.2.0/20260101000000"));
    let read =
        |name: &str| fs::read_to_string(done.path.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(read("IDENT"), "acme/shop/1.2.0/20260101000000\n");
    assert_eq!(read("TARGET"), format!("{}\n", host_target()));
    assert_eq!(read("EXPORTS"), "name=title\nport=http.port\n");
    assert_eq!(read("EXPOSES"), "8080\n");
    assert_eq!(read("BINDS"), "db=port user\n");
    assert_eq!(read("SVC_USER"), "web\n");
    assert_eq!(read("SVC_GROUP"), "www\n");
    assert_eq!(read("SHUTDOWN_SIGNAL"), "QUIT\n");
    assert_eq!(read("SHUTDOWN_TIMEOUT"), "3\n");
    assert_eq!(read("PATH"), "/hab/pkgs/acme/shop/1.2.0/20260101000000/bin\n");
    assert_eq!(read("hooks/run"), files[2].1, "templates are installed as written");
    assert_eq!(read("config/a/b.conf"), files[3].1);
    assert_eq!(read("share/page.html"), "<p>");
    assert!(!done.path.join("not-named").exists() && !done.path.join("plan.toml").exists());
    assert!(!done.path.join("BINDS_OPTIONAL").exists(), "what would say nothing is left out");
    assert_eq!(mode(&done.path.join("hooks/run")), 0o755);
    assert_eq!(mode(&done.path.join("config/a/b.conf")), 0o644);
    assert_eq!(mode(&done.path.join("config/a")), 0o755);

    let again = bench.install(&built.path).expect("nothing to do");
    assert_eq!(again, Outcome { already: true, ..done.clone() });
    let found = newest(&bench.root, &"acme/shop".parse().expect("an ident")).expect("found");
    assert_eq!(found.path(), done.path);
}

#[test]
fn the_newest_by_version_then_release_is_found() {
    let bench = Bench::new();
    for version in ["1.9.0", "1.10.0-rc1", "1.10.0"] {
        let plan = PLAN.replace("1.2.0", version);
        bench.install(&bench.build(&[("plan.toml", &plan)]).path).expect("installed");
    }
    let twice = bench.build(&[("plan.toml", &PLAN.replace("1.2.0", "1.9.0"))]);
    assert_eq!(twice.ident.release(), Some("20260101000001"), "a taken release is not used again");
    bench.install(&twice.path).expect("installed");

    let found =
        |wanted: &str| newest(&bench.root, &wanted.parse().expect("an ident")).map(|p| p.ident().to_string());
    assert_eq!(found("acme/shop").expect("found"), "acme/shop/1.10.0/20260101000000");
    assert_eq!(found("acme/shop/1.9.0").expect("found"), "acme/shop/1.9.0/20260101000001");
    let error = found("acme/other").expect_err("not there").to_string();
    assert!(error.contains("acme/other") && error.contains("pkg install"), "{error}");

    // A package for another platform does not run on this host.
    let foreign = bench.root.path().join("pkgs/acme/shop/9.0/20260101000000");
    write(&foreign.join("IDENT"), "acme/shop/9.0/20260101000000\n");
    write(&foreign.join("TARGET"), "pdp11-unix\n");
    assert_eq!(found("acme/shop").expect("found"), "acme/shop/1.10.0/20260101000000");
    // The folders may also hold files that another program left there.
    write(&bench.root.path().join("pkgs/README"), "x");
    write(&bench.root.path().join("pkgs/acme/shop/notes"), "x");
    fs::create_dir_all(bench.root.path().join("pkgs/acme/shop/2.0/20260101000000")).expect("made");
    let all: Vec<String> =
        list(&bench.root).expect("readable").iter().map(|p| p.ident().to_string()).collect();
    assert_eq!(all.len(), 5);
    assert!(all.is_sorted_by(|a, b| {
        let [a, b] = [a, b].map(|text| text.parse::<annulus_core::PackageIdent>().expect("an ident"));
        a.cmp_version(&b).is_le()
    }));
}

#[test]
fn dependencies_have_to_be_there() {
    let bench = Bench::new();
    let plan = format!("{PLAN}deps = [\"acme/lib\"]\n");
    let error = build(&bench.root, &bench.plan(&[("plan.toml", &plan)]), &bench.path("out"), NOW)
        .expect_err("not installed")
        .to_string();
    assert!(error.contains("acme/shop/1.2.0 needs acme/lib"), "{error}");

    let lib = PLAN.replace("shop", "lib") + "files = [\"bin\"]\n";
    let lib = bench.build(&[("plan.toml", &lib), ("bin/x", "")]);
    bench.install(&lib.path).expect("installed");
    let shop = bench.build(&[("plan.toml", &plan)]);
    let done = bench.install(&shop.path).expect("installed");
    let read = |name: &str| fs::read_to_string(done.path.join(name)).expect("a metafile");
    assert_eq!(read("DEPS"), format!("{}\n", lib.ident));
    assert_eq!(read("TDEPS"), format!("{}\n", lib.ident));
    assert_eq!(read("RUNTIME_PATH"), format!("/hab/pkgs/{}/bin\n", lib.ident));

    let other = Bench::new();
    fs::create_dir_all(other.root.keys().parent().expect("a parent")).expect("made");
    fs::rename(bench.root.keys(), other.root.keys()).expect("moved");
    let error = other.install(&shop.path).expect_err("lib is not there").to_string();
    assert!(error.contains("acme/lib") && error.contains("pkg install"), "{error}");
    assert!(other.is_empty());
    other.install(&lib.path).expect("installed");
    other.install(&shop.path).expect("installed");
}

#[test]
fn the_example_plans_build() {
    let bench = Bench::new();
    for (name, config) in [("responder", "config/about.txt"), ("redis", "config/redis.conf")] {
        let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/plans").join(name);
        let built = build(&bench.root, &plan, &bench.path("out"), NOW).expect("built");
        let done = bench.install(&built.path).expect("installed");
        assert!(done.path.join("hooks/run").is_file() && done.path.join(config).is_file());
        let mut hart = Hart::open(&built.path).expect("a package");
        let said = inspect(&mut hart, Limits::default()).expect("whole");
        assert_eq!(said.ident, built.ident);
        assert!(said.metafiles[&MetaFile::Manifest].contains(&format!("# annulus / {name}")));
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.symlink_metadata().expect("it exists").permissions().mode() & 0o7777
}
