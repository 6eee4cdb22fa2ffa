//! Plans that are tried before they are built.

use super::*;

const PLAN: &str = "origin = \"acme\"\nname = \"shop\"\nversion = \"1.0\"\n";

fn tried(plan: &str, files: &[(&str, &str)]) -> Trial {
    let dir = tempfile::tempdir().expect("a directory");
    write(&dir.path().join("plan/plan.toml"), &format!("{PLAN}{plan}"));
    for (name, text) in files {
        write(&dir.path().join("plan").join(name), text);
    }
    let root = Root::new(dir.path()).expect("absolute");
    try_plan(&root, &dir.path().join("plan"))
}

#[test]
fn a_good_plan_has_nothing_said_against_it() {
    let plan = "deps = [\"core/openssl\"]\n[exports]\nport = \"port\"\n[binds]\ndb = [\"port\", \"user\"]\n[binds_optional]\ncache = [\"port\"]\n\
                [health]\nhttp = \"http://127.0.0.1:{{cfg.port}}/\"\n[drain]\ninflight = { connections = \"{{cfg.port}}\" }\n";
    let config = "{{pkgPathFor \"core/openssl\"}} {{#eachAlive bind.db.members as |m|}}{{toUppercase m.cfg.user}}{{/eachAlive}}\n\
                  {{#if bind.cache}}{{bind.cache.first.cfg.port}}{{/if}}{{#if svc.me.leader}}{{svc.election.term}}{{/if}}{{#if cfg.extra}}x{{/if}}\n";
    let files = [
        ("default.toml", "port = 80"),
        ("hooks/run", "#!/bin/sh\nexec sleep {{shellQuote cfg.port}}\n"),
        ("config/a.conf", config),
    ];
    let trial = tried(plan, &files);
    assert_eq!(trial, Trial { templates: 2, ..Trial::default() });
}

#[test]
fn every_error_is_reported_once() {
    let plan = "[health]\ntcp = \"x\"\n[drain]\ninflight = { connections = \"{{cfg.prot}}\" }\n";
    let trial = tried(
        plan,
        &[
            ("default.toml", "port = 80\nlist = []"),
            ("hooks/run", "exec sleep 1\n"),
            ("hooks/health-check", "#!/bin/sh\n"),
            ("config/one", "{{toUppercase cfg.list}}"),
            ("config/sub/two", "{{#if"),
            ("config/three", "{{#if svc.me.follower}}{{strJoin cfg.port \",\"}}{{/if}}"),
        ],
    );
    for part in [
        "hooks/run does not begin",
        "keep one of them",
        "config/one",
        "config/sub/two",
        "config/three",
        "not a port",
    ] {
        assert_eq!(trial.errors.iter().filter(|e| e.contains(part)).count(), 1, "{part}: {:?}", trial.errors);
    }
    assert_eq!((trial.templates, trial.errors.len()), (5, 6), "{:?}", trial.errors);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let files = [
        ("default.toml", "port = 80"),
        ("hooks/healthcheck", "#!/bin/sh\n"),
        ("hooks/init", "#!/bin/sh\n\necho {{cfg.port}}\n"),
        ("config/a", "ok\n{{cfg.prot}} {{bind.nobody.first}} {{svc.leader.member_id}}"),
    ];
    let trial = tried("[exports]\nport = \"prot\"\n", &files);
    let errors = trial.errors.join("\n");
    assert!(trial.errors.len() == 1 && errors.contains("bind.nobody.first does not exist"), "{errors}");
    let all = trial.warnings.join("\n");
    for part in [
        "hooks/healthcheck is never run",
        "which default.toml does not set",
        "line 2",
        "cfg.prot does not exist",
        "not a service",
        "hooks/init, line 3: {{cfg.port}} is not quoted",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
    assert_eq!(trial.warnings.len(), 5, "{all}");
}

#[test]
fn a_plan_that_is_none_is_an_error() {
    for (plan, files) in [
        ("colour = 1\n", vec![]),
        ("", vec![("default.toml", "a = = 1")]),
        ("", vec![("default.toml", "[a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]")]),
    ] {
        assert_eq!(tried(plan, &files).errors.len(), 1);
    }
}
