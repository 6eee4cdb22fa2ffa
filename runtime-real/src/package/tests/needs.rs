//! The needs of packages, and the order in which packages may be removed.

use annulus_core::PackageIdent;

use super::*;

fn ident(text: &str) -> PackageIdent {
    text.parse().expect("an ident")
}

fn plan(name: &str, rest: &str) -> String {
    PLAN.replace("shop", name) + rest
}

#[test]
fn what_is_needed_comes_from_the_artifact_cache() {
    let maker = Bench::new();
    let base = maker.build(&[("plan.toml", &plan("base", ""))]);
    maker.install(&base.path).expect("installed");
    let lib = maker.build(&[("plan.toml", &plan("lib", "deps = [\"acme/base\"]\n"))]);
    maker.install(&lib.path).expect("installed");
    let shop = maker.build(&[("plan.toml", &plan("shop", "deps = [\"acme/lib\"]\n"))]);
    // A package whose file's name could be that of a version of acme/lib.
    let other = maker.build(&[("plan.toml", &plan("lib-extra", ""))]);

    let user = Bench::new();
    fs::create_dir_all(user.root.artifacts()).expect("made");
    fs::rename(maker.root.keys(), user.root.keys()).expect("moved");
    let limits = Limits::default();
    let from_file = Source::File(shop.path.clone());
    let error =
        crate::package::install(&user.root, &from_file, limits).expect_err("lib is nowhere").to_string();
    assert!(error.contains("acme/shop") && error.contains("needs acme/"), "{error}");
    assert!(error.contains("pkg install") && error.contains("cache/artifacts"), "{error}");
    assert!(list(&user.root).expect("readable").is_empty(), "nothing was installed");

    for built in [&base, &lib, &other] {
        let name = built.path.file_name().expect("a name");
        fs::copy(&built.path, user.root.artifacts().join(name)).expect("copied");
    }
    let done = crate::package::install(&user.root, &from_file, limits).expect("installed");
    let names: Vec<&str> = done.iter().map(|outcome| outcome.ident.name()).collect();
    assert_eq!(names, ["base", "lib", "shop"], "what is needed comes first");
    let done = crate::package::install(&user.root, &Source::Ident(ident("acme/lib-extra")), limits);
    assert_eq!(done.expect("installed from the cache")[0].ident, other.ident);
    let done = crate::package::install(&user.root, &Source::Ident(ident("acme/lib")), limits).expect("there");
    assert!(done[0].already && done[0].ident == lib.ident);
    let error = crate::package::install(&user.root, &Source::Ident(ident("acme/nowhere")), limits)
        .expect_err("nowhere")
        .to_string();
    assert!(error.contains("acme/nowhere") && error.contains("cache/artifacts"), "{error}");

    let shop = newest(&user.root, &ident("acme/shop")).expect("installed");
    let order: Vec<String> =
        with_needs(&user.root, &shop).expect("whole").iter().map(|p| p.ident().name().to_owned()).collect();
    assert_eq!(order, ["base", "lib", "shop"]);
    assert_eq!(needs(&shop, false).expect("readable").len(), 1);
    assert_eq!(needs(&shop, true).expect("readable").len(), 2);
}

#[test]
fn what_is_needed_stays() {
    let bench = Bench::new();
    let lib = plan("lib", "");
    let files = [("plan.toml", lib.as_str())];
    let old = bench.build(&files);
    bench.install(&old.path).expect("installed");
    let new = bench.build(&files);
    bench.install(&new.path).expect("installed");
    let shop = bench.build(&[("plan.toml", &plan("shop", "deps = [\"acme/lib\"]\n"))]);
    bench.install(&shop.path).expect("installed");

    let [lib, first] = [&new.ident, &old.ident].map(|ident| newest(&bench.root, ident).expect("installed"));
    let error = check_unused(&bench.root, &lib, &[]).expect_err("shop needs it").to_string();
    assert!(error.contains(&shop.ident.to_string()) && error.contains("uninstall that first"), "{error}");
    check_unused(&bench.root, &first, &[]).expect("shop was built with the other");
    let by = needed_by(&bench.root, &new.ident, false).expect("readable");
    assert_eq!(by.iter().collect::<Vec<_>>(), [&shop.ident]);

    let used = InUse {
        service: "shop".parse().expect("a name"),
        supervisor: "default".to_owned(),
        ident: ident("acme/shop"),
    };
    let package = newest(&bench.root, &shop.ident).expect("installed");
    let error = check_unused(&bench.root, &package, &[used]).expect_err("loaded").to_string();
    assert!(error.contains("service shop of supervisor default") && error.contains("svc unload"), "{error}");

    for package in [&first, &package, &lib] {
        uninstall(&bench.root, package).expect("removed");
    }
    assert!(bench.is_empty(), "the folders of the origin are gone as well");
}

#[test]
fn all_but_the_latest_go() {
    let bench = Bench::new();
    for version in ["1.9.0", "1.10.0", "1.10.0-rc1"] {
        bench
            .install(&bench.build(&[("plan.toml", &PLAN.replace("1.2.0", version))]).path)
            .expect("installed");
    }
    let versions = |wanted: &str, keep| -> Vec<String> {
        let found = uninstall_candidates(&bench.root, &ident(wanted), keep).expect("readable");
        found.iter().map(|package| package.ident().version().expect("a version").to_owned()).collect()
    };
    assert_eq!(versions("acme/shop", None), ["1.10.0"], "the newest");
    assert_eq!(versions("acme/shop", Some(1)), ["1.9.0", "1.10.0-rc1"]);
    assert_eq!(versions("acme/shop", Some(3)), [""; 0]);
    assert_eq!(versions("acme/shop/1.9.0", Some(0)), ["1.9.0"]);
    assert!(matches!(
        uninstall_candidates(&bench.root, &ident("acme/other"), Some(1)),
        Err(Error::NotInstalled { .. })
    ));
}
