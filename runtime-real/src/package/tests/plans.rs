//! Plans that are not as they should be, and the messages for them.

use super::*;

/// The message for a plan, or for one of the files beside it.
fn complaint(files: &[(&str, &str)]) -> String {
    let bench = Bench::new();
    let plan = bench.plan(files);
    let error = build(&bench.root, &plan, &bench.path("out"), NOW).expect_err("a malformed plan was built");
    assert!(!bench.path("out").exists(), "nothing is written for a malformed plan");
    error.to_string()
}

#[test]
fn messages_point_at_the_place() {
    let cases = [
        ("colour = \"red\"\n", "line 4, column 1", "unknown field"),
        ("[service]\nspeed = 3\n", "line 5, column 1", "unknown field"),
        ("description = 7\n", "line 4", "string"),
        ("deps = [\"openssl\"]\n", "line 4", "origin/name"),
        ("files = [\"../secret\"]\n", "line 4", "not a path below the plan"),
        ("files = [\"/etc/passwd\"]\n", "line 4", "not a path below the plan"),
        ("files = [\"IDENT\"]\n", "line 4", "not a path below the plan"),
        ("files = [\"hooks\"]\n", "line 4", "not a path below the plan"),
        ("[exports]\nport = \"a..b\"\n", "line 5", "dotted path"),
        ("[exports]\n\"a b\" = \"x\"\n", "line 5", "not a name"),
        ("exposes = [\"port\"]\n", "line 4, column 12", "not in [exports]"),
        ("[service]\nshutdown_signal = \"WINCH\"\n", "line 5", "not a signal"),
        ("[service]\nshutdown_timeout_s = -1\n", "line 5", "between 0 and"),
        ("[service]\nuser = \"a\\nb\"\n", "line 5", "not a name"),
        ("maintainer = \"a\\nb\"\n", "line 4", "line end"),
        ("deps = [\n", "line", "plan.toml"),
        ("name = \"twice\"\n", "line 4", "duplicate key"),
        ("[service]\ndemoted = \"fired\"\n", "line 5, column 11", "none of restart, reconfigure and stop"),
        ("[health]\n", "line 4", "exactly one of http, tcp and unix"),
        ("[health]\nhttp = \"a\"\ntcp = \"b\"\n", "line 4", "exactly one of http, tcp and unix"),
        ("[health]\nhttp = \"{{#if\"\n", "line 5", "not handlebars"),
        ("[health]\ntcp = \"\"\n", "line 5", "is empty"),
        ("[health]\ntcp = \"a\"\ninterval_s = 0\n", "line 4", "at least 1 second"),
        ("[health]\ntcp = \"a\"\ntimeout_s = -3\n", "line 6", "between 0 and"),
        ("[drain]\ntimeout_s = \"long\"\n", "line 5", "expected i64"),
        ("[drain]\ninflight = {}\n", "line 4", "exactly one of http and connections"),
        ("[drain]\ninflight = { connections = 70000 }\n", "line 5", "70000 is not a port"),
        ("[drain.inflight]\nspeed = 1\n", "line 5", "unknown field"),
    ];
    for (line, place, what) in cases {
        let message = complaint(&[("plan.toml", &format!("{PLAN}{line}"))]);
        assert!(
            message.contains("plan.toml") && message.contains(place) && message.contains(what),
            "{line}: {message}"
        );
        assert!(message.contains('^'), "{line}: no caret in {message}");
    }
}

#[test]
fn the_parts_of_an_ident_are_checked() {
    for (part, bad) in [
        ("acme", "a/b"),
        ("acme", ".."),
        ("acme", ""),
        ("acme", "-x"),
        ("shop", "a b"),
        ("shop", "ü"),
        ("1.2.0", "1..2"),
        ("1.2.0", "1/2"),
        ("1.2.0", ""),
    ] {
        let message = complaint(&[("plan.toml", &PLAN.replace(part, bad))]);
        assert!(message.contains("is not a valid") && message.contains('^'), "{bad:?}: {message}");
    }
    let message = complaint(&[("plan.toml", "origin = \"acme\"\nversion = \"1\"\n")]);
    assert!(message.contains("missing field `name`"), "{message}");
}

#[test]
fn the_message_shows_the_line() {
    let message = complaint(&[("plan.toml", "origin = \"acme\"\nname    = \"a shop\"\nversion = \"1\"\n")]);
    assert!(
        message.ends_with(
            "TOML parse error at line 2, column 11\n  |\n2 | name    = \"a shop\"\n  |           ^^^^^^^^\n\
             \"a shop\" is not a valid name: use letters, digits, '-' and '_'"
        ),
        "{message}"
    );
}

#[test]
fn exposed_ports_come_from_the_defaults() {
    let plan = format!("{PLAN}exposes = [\"port\"]\n[exports]\nport = \"http.port\"\n");
    let with = |defaults: &str| complaint(&[("plan.toml", &plan), ("default.toml", defaults)]);
    assert!(with("").contains("default.toml does not set"));
    assert!(with("http = 1").contains("default.toml does not set"));
    assert!(with("http.port = 70000").contains("not a port"));
    assert!(with("http.port = \"web\"").contains("not a port"));
    let message = with("http.port = ");
    assert!(message.contains("default.toml") && message.contains("line 1"), "{message}");
}

#[test]
fn files_beside_the_plan_are_checked() {
    let message = complaint(&[("plan.toml", PLAN), ("hooks/run", "#!/bin/sh\nexec {{#if cfg.x}}\n")]);
    assert!(
        message.contains("hooks/run") && message.contains("line ") && message.contains("not closed"),
        "{message}"
    );
    let plan = format!("{PLAN}files = [\"missing\"]\n");
    assert!(complaint(&[("plan.toml", &plan)]).contains("missing"));
    assert!(complaint(&[("default.toml", "")]).contains("plan.toml"), "no plan at all");

    let bench = Bench::new();
    let plan = bench.plan(&[("plan.toml", &format!("{PLAN}files = [\"share\"]\n")), ("share/x", "")]);
    std::os::unix::fs::symlink("../../outside", plan.join("share/l")).expect("linked");
    let error = build(&bench.root, &plan, &bench.path("out"), NOW).expect_err("refused").to_string();
    assert!(error.contains("share/l") && error.contains("leads out"), "{error}");

    let message =
        complaint(&[("plan.toml", &format!("{PLAN}[binds]\na = [\"x\"]\n[binds_optional]\na = [\"y\"]\n"))]);
    assert!(message.contains("both in [binds]"), "{message}");
}

#[test]
fn a_plan_that_is_not_there_is_named_with_the_remedy() {
    let bench = Bench::new();
    let dir = bench.plan(&[("plan.toml", PLAN), ("notes.txt", "x")]);
    fs::create_dir_all(bench.path("empty")).expect("made");
    for (path, why) in [
        (bench.path("missing"), "does not exist"),
        (bench.path("empty"), "no plan.toml in it"),
        (dir.join("notes.txt"), "another name"),
    ] {
        let error = build(&bench.root, &path, &bench.path("out"), NOW).expect_err("no plan").to_string();
        let named = error.contains(path.to_str().expect("text"));
        assert!(named && error.contains(why) && error.contains("name the directory"), "{error}");
        assert!(!bench.path("out").exists() && !bench.root.keys().exists(), "nothing was made");
    }
    build(&bench.root, &dir.join("plan.toml"), &bench.path("out"), NOW).expect("the file itself will do");
}

#[test]
fn health_and_drain_travel_with_the_package() {
    let bench = Bench::new();
    let text = format!(
        "{PLAN}[service]\ndemoted = \"stop\"\n[health]\nunix = \"{{{{pkg.svc_var_path}}}}/s\"\ninterval_s = 5\n\
         [drain]\ntimeout_s = 40\ninflight = {{ connections = 8080 }}\n"
    );
    let plan = bench.plan(&[("plan.toml", &text), ("hooks/run", "")]);
    let built = build(&bench.root, &plan, &bench.path("out"), NOW).expect("built");
    let done = bench.install(&built.path).expect("installed");
    let read = |name: &str| fs::read_to_string(done.path.join(name)).expect(name);
    let health = HealthPlan::from_metafile(&read("HEALTH")).expect("well-formed");
    let probe = Probe::Unix("{{pkg.svc_var_path}}/s".to_owned());
    assert_eq!(health, HealthPlan { probe: Some(probe), interval_s: Some(5), ..HealthPlan::default() });
    let drain = DrainPlan::from_metafile(&read("DRAIN")).expect("well-formed");
    let inflight = Some(Inflight::Connections("8080".to_owned()));
    assert_eq!(drain, DrainPlan { inflight, timeout_s: Some(40) });
    assert_eq!(read("DEMOTED"), "stop\n");

    let of_hook =
        HealthPlan { probe: None, interval_s: Some(7), timeout_s: Some(3), start_delay_s: Some(20) };
    let text_of_hook = of_hook.to_metafile();
    assert_eq!(HealthPlan::from_metafile(&text_of_hook).expect("well-formed"), of_hook, "for a hook");
    let alone = format!("{PLAN}[health]\n{text_of_hook}");
    let without = complaint(&[("plan.toml", alone.as_str()), ("hooks/run", "")]);
    assert!(without.contains("[health] asks nothing") && without.contains("hooks/health-check"), "{without}");

    let both = [("plan.toml", text.as_str()), ("hooks/run", ""), ("hooks/health-check", "")];
    assert!(complaint(&both).contains("keep one of them"));
}

/// The keys that a table of a plan may have, as its reader lists them; none for a path that names no such table.
fn known_keys(table: &[&str]) -> Option<Vec<String>> {
    let inner =
        table.iter().rev().fold("nonsense = 1".to_owned(), |inner, key| format!("{key} = {{ {inner} }}"));
    let message = complaint(&[("plan.toml", &inner)]);
    let list = message.split_once("unknown field `nonsense`, expected ")?.1;
    let names = list.lines().next().unwrap_or_default().split('`').skip(1).step_by(2);
    Some(names.map(str::to_owned).collect())
}

fn collect_keys(table: &mut Vec<String>, into: &mut Vec<String>) {
    let path: Vec<&str> = table.iter().map(String::as_str).collect();
    match known_keys(&path) {
        None => into.push(table.join(".")),
        Some(keys) => {
            for key in keys {
                table.push(key);
                collect_keys(table, into);
                table.pop();
            }
        }
    }
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    let mut keys = Vec::new();
    collect_keys(&mut Vec::new(), &mut keys);
    assert!(keys.iter().any(|key| key == "service.user"), "{keys:?}");
    keys.sort();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/plans/README.md");
    let text = fs::read_to_string(reference).expect("the reference");
    let section =
        text.split("## plan.toml").nth(1).and_then(|rest| rest.split("## ").next()).expect("a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut documented: Vec<&str> = rows.collect();
    documented.sort_unstable();
    assert_eq!(documented, keys, "scenarios/plans/README.md lists what a plan may hold");
}
