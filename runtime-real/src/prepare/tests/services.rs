//! A service's folder, and the answers that the daemon gets about it.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use annulus_core::Hook;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use super::*;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o7777
}

#[test]
fn folders_and_modes_are_habitats() {
    let bench = Bench::new(&[
        ("hooks/run", "#!/bin/sh\n"),
        ("hooks/health-check", ""),
        ("config/app.toml", "x"),
        ("config/sub/deep/b", "y"),
    ]);
    let done = bench.prepare().expect("prepared");
    for name in
        ["config", "config_install", "data", "files", "static", "var", "config/sub", "config/sub/deep"]
    {
        assert_eq!(mode(&bench.svc(name)), 0o770, "{name}");
    }
    assert_eq!(mode(&bench.svc("")), 0o755);
    // Narrower than Habitat's, which every user of the host may read.
    for name in ["hooks", "logs", "run", "hooks/run", "hooks/health-check"] {
        assert_eq!(mode(&bench.svc(name)), 0o750, "{name}");
    }
    for name in ["config/app.toml", "config/sub/deep/b"] {
        assert_eq!(mode(&bench.svc(name)), 0o740, "{name}");
    }
    assert_eq!(done.service.run_path(), bench.svc("run"));
    assert_eq!(done.service.pid_file(), bench.svc("PID"));
    assert_eq!(*done.service.hooks(), BTreeSet::from([Hook::Run, Hook::HealthCheck]));
    assert_eq!(done.service.hooks_dir(), bench.svc("hooks"));

    for (name, before) in [("data", 0o700), ("hooks", 0o755), ("logs", 0o755)] {
        fs::set_permissions(bench.svc(name), fs::Permissions::from_mode(before)).expect("set");
    }
    bench.prepare().expect("prepared");
    assert_eq!(mode(&bench.svc("data")), 0o700, "the mode of the service's folders is left alone");
    assert_eq!([mode(&bench.svc("hooks")), mode(&bench.svc("logs"))], [0o750; 2], "from an earlier version");
}

#[test]
fn templates_know_package_and_supervisor() {
    let template = "{{pkg.ident}} {{pkg.origin}} {{pkg.name}} {{pkg.version}} {{pkg.release}}\n{{pkg.path}}\n\
                    {{pkg.svc_path}} {{pkg.svc_config_path}} {{pkg.svc_data_path}} {{pkg.svc_pid_file}} {{pkg.svc_run}}\n\
                    {{pkg.svc_user}} {{pkg.svc_group}} {{#each pkg.exposes}}{{this}},{{/each}} {{pkg.exports.port}} {{pkg.env.PATH}} {{pkg.env.LANG}}\n\
                    {{#each pkg.deps}}{{origin}}/{{name}}/{{version}}/{{release}}{{/each}} {{pkgPathFor \"core/lib\"}}\n\
                    {{sys.hostname}} {{sys.gossip_port}} {{sys.member_id}} {{sys.permanent}} {{sys.version}}\n";
    // A supervisor that may change users insists that user and group exist.
    let me = User::from_uid(Uid::effective()).expect("the user database").expect("this user").name;
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::effective());
    let group = group.expect("the group database").expect("this group").name;
    let mut bench = Bench::new(&[
        ("hooks/run", template),
        ("SVC_USER", &me),
        ("SVC_GROUP", &group),
        ("EXPOSES", "80 443\n"),
        ("EXPORTS", "port=http.port\n"),
        ("DEPS", "core/lib/1.0/20250101000000\n"),
        ("RUNTIME_ENVIRONMENT", "PATH=/hab/pkgs/core/lib/1.0/20250101000000/bin:/opt/x\nLANG=C=D\n"),
    ]);
    bench.env.insert("PATH".to_owned(), "/usr/bin".to_owned());
    let done = bench.prepare().expect("prepared");
    let (root, svc) = (bench.root.path().display().to_string(), bench.svc("").display().to_string());
    let svc = svc.trim_end_matches('/');
    let lib = format!("{root}/pkgs/core/lib/1.0/20250101000000");
    let expected = format!(
        "{IDENT} acme web-shop 1.2.0 20260101000000\n{root}/pkgs/{IDENT}\n\
         {svc} {svc}/config {svc}/data {svc}/PID {svc}/run\n\
         {me} {group} 80,443, http.port {lib}/bin:/opt/x:/usr/bin C=D\n\
         core/lib/1.0/20250101000000 {lib}\n\
         host-1 9638 {} true {}\n",
        "ab".repeat(16),
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(bench.read("run"), expected);
    assert_eq!(done.service.env()["PATH"], format!("{lib}/bin:/opt/x:/usr/bin"));
}

#[test]
fn stop_and_exports_follow_the_package() {
    let bench = Bench::new(&[("hooks/run", "")]);
    let done = bench.prepare().expect("prepared");
    assert_eq!(
        (done.service.fixed().shutdown_signal, done.service.fixed().shutdown_timeout_ms),
        (Signal::SIGTERM, 8_000),
        "Habitat's defaults"
    );
    assert_eq!(done.written.exports_toml, "");

    let bench = Bench::new(&[
        ("hooks/run", ""),
        ("default.toml", "[http]\nport = 80\nnames = [\"a\"]\n"),
        ("EXPORTS", "port=http.port\nall=http\nmissing=no.such\n"),
        ("SHUTDOWN_SIGNAL", "QUIT\n"),
        ("SHUTDOWN_TIMEOUT", "3\n"),
    ]);
    bench.user_toml("http.port = 81");
    let done = bench.prepare().expect("prepared");
    assert_eq!(
        (done.service.fixed().shutdown_signal, done.service.fixed().shutdown_timeout_ms),
        (Signal::SIGQUIT, 3_000)
    );
    assert_eq!(
        done.written.exports_toml.parse::<toml::Table>().expect("TOML"),
        "port = 81\n[all]\nport = 81\nnames = [\"a\"]\n".parse::<toml::Table>().expect("TOML")
    );
    let spec = ServiceSpec { shutdown_timeout_ms: Some(7), ..Bench::spec() };
    assert_eq!(
        bench.prepare_spec(&spec).expect("prepared").service.fixed().shutdown_timeout_ms,
        7,
        "the operator's word counts"
    );

    for (file, text) in [("SHUTDOWN_TIMEOUT", "soon"), ("SHUTDOWN_SIGNAL", "CONT"), ("EXPORTS", "port")] {
        let bench = Bench::new(&[("hooks/run", ""), (file, text)]);
        let error = bench.prepare().expect_err("malformed").to_string();
        assert!(error.contains(file) && error.contains(text), "{error}");
    }
}

#[test]
fn only_what_changes_is_written() {
    let bench = Bench::new(&[("hooks/run", "{{cfg.a}}"), ("config/c", "{{cfg.b}}")]);
    let first = bench.prepare().expect("prepared");
    assert_eq!(first.written.files, ["hooks/run", "config/c", "run"]);
    let inode = |name: &str| bench.svc(name).metadata().expect("the file").ino();
    let before = (inode("run"), inode("config/c"));
    assert_eq!(bench.prepare().expect("prepared").written.files, Vec::<String>::new());
    assert_eq!((inode("run"), inode("config/c")), before);
    bench.user_toml("b = 1");
    assert_eq!(bench.prepare().expect("prepared").written.files, ["config/c"]);
    assert_eq!(bench.read("config/c"), "1");
}

#[test]
fn a_failing_template_leaves_every_file_as_it_was() {
    let bench = Bench::new(&[("hooks/run", "{{cfg.a}}"), ("config/z", "{{toUppercase cfg.a}}")]);
    bench.user_toml("a = \"one\"");
    bench.prepare().expect("prepared");
    bench.user_toml("a = [\"two\"]");
    let error = bench.prepare().expect_err("a list has no upper case").to_string();
    assert!(error.contains("config/z") && error.contains("cfg.a"), "{error}");
    assert_eq!((bench.read("run").as_str(), bench.read("config/z").as_str()), ("one", "ONE"));
}

#[test]
fn the_newest_package_runs_without_the_hooks_of_older_ones() {
    let bench = Bench::new(&[("hooks/run", "old"), ("hooks/reconfigure", "old")]);
    bench.prepare().expect("prepared");
    bench.package("acme/web-shop/1.10.0/20260101000000", &[("hooks/run", "new")]);
    let done = bench.prepare().expect("prepared");
    assert_eq!(done.service.ident().version(), Some("1.10.0"));
    assert_eq!(bench.read("run"), "new");
    assert!(!bench.svc("hooks/reconfigure").exists());
    assert_eq!(done.written.files, ["hooks/run", "run", "hooks/reconfigure"]);

    let exact = ServiceSpec::new("acme/web-shop/1.2.0".parse().expect("an ident"));
    assert_eq!(bench.prepare_spec(&exact).expect("prepared").service.ident().version(), Some("1.2.0"));
}

#[test]
fn a_package_has_to_be_a_service() {
    let bench = Bench::new(&[("default.toml", "a = 1")]);
    let error = bench.prepare().expect_err("no run hook").to_string();
    assert!(error.contains(IDENT) && error.contains("hooks/run"), "{error}");
    assert!(!bench.svc("").exists(), "nothing was made");
    let bench = Bench::new(&[("run", "#!/bin/sh\n{{not a template")]);
    bench.prepare().expect("prepared");
    assert_eq!(bench.read("run"), "#!/bin/sh\n{{not a template", "a package's own run is taken as it is");
    let other = ServiceSpec::new("acme/none".parse().expect("an ident"));
    assert!(bench.prepare_spec(&other).expect_err("none").to_string().contains("acme/none"));
}

#[test]
fn binds_have_to_fit() {
    let bench = Bench::new(&[("hooks/run", ""), ("BINDS", "db=port\n"), ("BINDS_OPTIONAL", "cache=port\n")]);
    let with = |binds: &[&str]| {
        let binds = binds.iter().map(|&bind| bind.to_owned()).collect();
        bench.prepare_spec(&ServiceSpec { binds, ..Bench::spec() }).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(with(&["db:postgres.default"]), Ok(()));
    assert_eq!(with(&["db:postgres.default", "cache:redis.default"]), Ok(()));
    assert!(with(&[]).expect_err("db is needed").contains("--bind db:"));
    let error = with(&["db:postgres.default", "queue:x.default"]).expect_err("no such bind");
    assert!(error.contains("queue") && error.contains("db, cache"), "{error}");
}

#[test]
fn config_from_takes_the_place_of_the_packages_files() {
    let bench = Bench::new(&[("hooks/run", "package"), ("default.toml", "a = 1")]);
    let from = bench.root.path().join("dev");
    write(&from.join("hooks/run"), "dev {{cfg.a}}");
    write(&from.join("default.toml"), "a = 2");
    let spec = ServiceSpec { config_from: Some(from.display().to_string()), ..Bench::spec() };
    bench.prepare_spec(&spec).expect("prepared");
    assert_eq!(bench.read("run"), "dev 2");
    let nowhere = ServiceSpec { config_from: Some("/nowhere/at/all".into()), ..spec };
    let at_load = super::super::service::check(&bench.root, &nowhere).expect_err("not there").to_string();
    let at_start = bench.prepare_spec(&nowhere).expect_err("not there").to_string();
    assert!([at_load, at_start].iter().all(|text| text.contains("/nowhere/at/all is not a directory")));
}
