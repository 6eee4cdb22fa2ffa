//! Spec files: the forms that are read, and changes by hand beside commands of the core.

use std::fs;
use std::os::unix::fs::symlink;

use annulus_core::{BindingMode, DesiredState, Topology, UpdateCondition, UpdateStrategy};
use proptest::prelude::*;
use proptest::{collection, option, sample};

use super::*;

fn service(name: &str) -> ServiceName {
    name.parse().expect("a name")
}

fn spec(ident: &str) -> ServiceSpec {
    ServiceSpec::new(ident.parse().expect("an ident"))
}

fn parse(text: &str) -> Result<ServiceSpec, String> {
    file::parse(&service("web"), text)
}

#[test]
fn habitats_own_file_is_read() {
    let text = "ident = \"acme/web\"\ngroup = \"prod\"\nbldr_url = \"https://bldr.example\"\nchannel = \"base\"\n\
                topology = \"leader\"\nupdate_strategy = \"at-once\"\nupdate_condition = \"track-channel\"\n\
                binds = [\"db:pg.prod@acme\"]\nbinding_mode = \"relaxed\"\nconfig_from = \"/src\"\n\
                desired_state = \"down\"\nshutdown_timeout = 12\n\n[health_check_interval]\nsecs = 7\nnanos = 0\n";
    let mut wanted = spec("acme/web");
    wanted.group = "prod".into();
    wanted.bldr_url = "https://bldr.example".into();
    wanted.channel = "base".into();
    wanted.topology = Topology::Leader;
    wanted.update_strategy = UpdateStrategy::AtOnce;
    wanted.update_condition = UpdateCondition::TrackChannel;
    wanted.binds = vec!["db:pg.prod@acme".into()];
    wanted.binding_mode = BindingMode::Relaxed;
    wanted.config_from = Some("/src".into());
    wanted.desired = DesiredState::Down;
    wanted.shutdown_timeout_ms = Some(12_000);
    wanted.health_check_interval_ms = 7_000;
    assert_eq!(parse(text), Ok(wanted));
    assert_eq!(parse("ident = \"acme/web\""), Ok(spec("acme/web")), "everything else has a default");
    assert_eq!(
        parse("ident = \"acme/web\"\nshutdown_timeout = 0.25").map(|s| s.shutdown_timeout_ms),
        Ok(Some(250))
    );
}

#[test]
fn mistakes_are_pointed_at() {
    for (line, says) in [
        ("toplogy = \"leader\"", "toplogy"),
        ("topology = \"star\"", "\"standalone\", \"leader\""),
        ("binds = [\"db\"]", "name:service.group"),
        ("shutdown_timeout = -1", "seconds"),
        ("shutdown_timeout = \"8s\"", "seconds"),
        ("group = 7", "line 2"),
        ("group = \"a.b\"", "a.b"),
        ("desired_state = \"sideways\"", "\"up\", \"down\""),
        ("[health_check_interval]\nsecs = 0", "health_check_interval"),
        ("[health_check_interval]\nseconds = 5", "seconds"),
        ("= nonsense", "line 2"),
    ] {
        let error = parse(&format!("ident = \"acme/web\"\n{line}\n")).expect_err(line);
        assert!(error.contains(says), "{line}: {error}");
    }
    assert!(parse("").expect_err("no ident").contains("ident"));
    assert!(parse("ident = \"web\"").expect_err("no origin").contains("origin/name"));
    assert!(parse("ident = \"acme/db\"").expect_err("another's").contains("db.spec"));
    let huge = format!("ident = \"acme/web\"\nchannel = {:?}", "x".repeat(70_000));
    assert!(parse(&huge).is_err());
}

fn specs() -> impl Strategy<Value = ServiceSpec> {
    let words = (
        sample::select(Topology::ALL),
        sample::select(UpdateStrategy::ALL),
        sample::select(UpdateCondition::ALL),
        sample::select(BindingMode::ALL),
        sample::select(DesiredState::ALL),
    );
    let binds = collection::vec("[a-z]{1,5}:[a-z]{1,5}\\.[a-z]{1,5}(@[a-z]{1,5})?", 0..4);
    let texts = ("\\PC{0,20}", "\\PC{0,20}", option::of("\\PC{0,20}"), option::of("\\PC{0,20}"));
    let numbers = (option::of(0_u64..1 << 50), 1_u64..1 << 60);
    ("[a-z]{1,9}", "[a-z]{1,9}", words, binds, texts, numbers).prop_map(
        |(origin, group, words, binds, texts, numbers)| ServiceSpec {
            group,
            topology: words.0,
            update_strategy: words.1,
            update_condition: words.2,
            binding_mode: words.3,
            desired: words.4,
            binds,
            channel: texts.0,
            bldr_url: texts.1,
            config_from: texts.2,
            maintenance: texts.3,
            shutdown_timeout_ms: numbers.0,
            health_check_interval_ms: numbers.1,
            ..spec(&format!("{origin}/web"))
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(spec in specs()) {
        let text = file::print(&spec).expect("prints");
        prop_assert_eq!(parse(&text), Ok(spec));
    }

    #[test]
    fn any_text_is_a_spec_or_a_reason(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}

/// Specs in a directory of their own.
fn opened() -> (tempfile::TempDir, Specs) {
    let dir = tempfile::tempdir().expect("a directory");
    let specs = Specs::open(dir.path().join("specs"), Vec::new()).expect("made");
    (dir, specs)
}

fn scan(specs: &Specs) -> Vec<Change> {
    specs.scan(|_| false).expect("readable").changes
}

fn write(specs: &Specs, name: &str, text: &str) {
    fs::write(specs.dir().join(name), text).expect("written");
}

fn names(specs: &Specs) -> Vec<String> {
    let entries = fs::read_dir(specs.dir()).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    // The folder of copies.
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

#[test]
fn own_writes_are_no_changes() {
    let (_dir, specs) = opened();
    let web = spec("acme/web");
    specs.persist(&service("web"), Some(&web)).expect("stored");
    assert_eq!(scan(&specs), []);
    let down = ServiceSpec { desired: DesiredState::Down, ..web };
    specs.persist(&service("web"), Some(&down)).expect("stored again");
    assert_eq!(scan(&specs), []);
    let again = Specs::open(specs.dir().to_owned(), Vec::new()).expect("opened again");
    assert_eq!(again.known(), [down]);
    specs.persist(&service("web"), None).expect("deleted");
    assert_eq!((scan(&specs), scan(&specs), names(&specs)), (vec![], vec![], vec![]));
    let copies = specs.dir().join(".last-good").read_dir().expect("a directory");
    assert_eq!(copies.count(), 0, "of what is not wanted no copy is kept");
}

#[test]
fn changes_by_hand_are_told_once_they_are_known_no_more() {
    let (_dir, specs) = opened();
    write(&specs, "web.spec", "# mine\nident = \"acme/web\"\n");
    let web = spec("acme/web");
    assert_eq!(scan(&specs), [Change::Load(Box::new(web.clone()))]);
    specs.persist(&service("web"), Some(&web)).expect("what it says already");
    assert_eq!(scan(&specs), []);
    let text = fs::read_to_string(specs.path(&service("web"))).expect("the file");
    assert!(text.starts_with("# mine"), "a file that says what is wanted keeps its comments");

    write(&specs, "web.spec", "# mine too\nident = \"acme/web\"\n");
    assert_eq!(scan(&specs), [], "a comment is no change");
    write(&specs, "web.spec", "ident = \"acme/web\"\ngroup = \"prod\"\n");
    let prod = ServiceSpec { group: "prod".into(), ..web };
    assert_eq!(specs.scan(|name| *name == service("web")).expect("readable").changes, [], "busy");
    assert_eq!(scan(&specs), [Change::Load(Box::new(prod.clone()))]);
    specs.agree(&prod);
    assert_eq!(scan(&specs), []);

    fs::remove_file(specs.path(&service("web"))).expect("removed");
    let seen = specs.scan(|_| false).expect("readable");
    assert_eq!(seen.changes, [], "an editor may be about to put another in its place");
    assert!(seen.unsettled);
    assert_eq!(scan(&specs), [Change::Unload(service("web"))]);
    specs.persist(&service("web"), None).expect("gone already");
    assert_eq!(scan(&specs), []);
}

#[test]
fn neither_side_overwrites_the_other() {
    let (_dir, specs) = opened();
    let web = spec("acme/web");
    let down = ServiceSpec { desired: DesiredState::Down, ..web.clone() };
    specs.persist(&service("web"), Some(&web)).expect("stored");
    write(&specs, "web.spec", "ident = \"acme/web\"\ngroup = \"prod\"\n");
    for wanted in [Some(&down), None] {
        let error = specs.persist(&service("web"), wanted).expect_err("refused");
        let NotStored::Refused(error) = error else { panic!("no fault of the disk: {error}") };
        assert!(error.contains("by hand") && error.contains("web.spec"), "{error}");
    }
    assert!(matches!(&scan(&specs)[..], [Change::Load(_)]), "the change is still seen");
    fs::remove_file(specs.path(&service("web"))).expect("removed");
    assert!(
        specs
            .persist(&service("web"), Some(&down))
            .expect_err("refused")
            .to_string()
            .contains("removed by hand")
    );
}

#[test]
fn a_bad_file_is_named_and_left_alone() {
    let (_dir, specs) = opened();
    specs.persist(&service("web"), Some(&spec("acme/web"))).expect("stored");
    let bad = "ident = \"acme/web\"\ntoplogy = \"leader\"\n";
    write(&specs, "web.spec", bad);
    write(&specs, "a b.spec", "");
    write(&specs, ".new-x.spec", "");
    write(&specs, "web.spec~", "");
    fs::create_dir(specs.dir().join("dir.spec")).expect("made");
    symlink("/nowhere", specs.dir().join("link.spec")).expect("made");
    fs::write(specs.dir().join("bytes.spec"), [0xff, 0xfe]).expect("written");
    assert_eq!(scan(&specs), []);
    let problems = specs.problems();
    let found: Vec<_> =
        problems.iter().map(|p| p.path.file_name().expect("a name").to_str().expect("text")).collect();
    assert_eq!(found, ["a b.spec", "bytes.spec", "dir.spec", "link.spec", "web.spec"]);
    assert!(problems[4].reason.contains("toplogy"), "{problems:?}");
    assert_eq!(specs.known(), [spec("acme/web")], "the last good options stand");
    assert_eq!(fs::read_to_string(specs.path(&service("web"))).expect("there"), bad);

    // A command needs the file's place: its text is not lost.
    let down = ServiceSpec { desired: DesiredState::Down, ..spec("acme/web") };
    specs.persist(&service("web"), Some(&down)).expect("stored");
    let aside = names(&specs).into_iter().find(|name| name.contains(".rejected-")).expect("set aside");
    assert_eq!(fs::read_to_string(specs.dir().join(aside)).expect("there"), bad);
    assert_eq!(specs.problems().len(), 4);
    assert_eq!(scan(&specs), []);
}

#[test]
fn a_refused_file_waits_for_its_next_change() {
    let (_dir, specs) = opened();
    write(&specs, "web.spec", "ident = \"acme/web\"\n");
    assert_eq!(scan(&specs).len(), 1);
    specs.refuse(&spec("acme/web"), "the limit is reached".into());
    assert_eq!(scan(&specs), []);
    assert_eq!(specs.problems()[0].reason, "the limit is reached");
    write(&specs, "web.spec", "ident = \"acme/web\"\ngroup = \"b\"\n");
    assert_eq!(scan(&specs).len(), 1);
    assert_eq!(specs.problems(), []);
}

#[test]
fn rows_of_an_older_database_become_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("specs");
    fs::create_dir(&path).expect("made");
    fs::write(path.join("db.spec"), "ident = \"acme/db\"\ngroup = \"file\"\n").expect("written");
    fs::write(path.join("bad.spec"), "?").expect("written");
    let rows = vec![spec("acme/web"), spec("acme/db"), spec("acme/bad")];
    let specs = Specs::open(path.clone(), rows).expect("opened");
    let groups: Vec<_> = specs.known().iter().map(|s| (s.name().to_string(), s.group.clone())).collect();
    assert_eq!(groups, [("db".into(), "file".into()), ("web".into(), "default".into())]);
    assert_eq!(fs::read_to_string(path.join("bad.spec")).expect("there"), "?");
    assert_eq!(scan(&specs), []);
}

#[test]
fn a_file_that_cannot_be_used_at_a_start_leaves_its_service_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Specs::open(dir.path().to_owned(), Vec::new()).expect("opened");
    let mut web = spec("acme/web");
    web.group = "prod".into();
    let specs = open();
    specs.persist(&service("web"), Some(&web)).expect("stored");
    specs.persist(&service("db"), Some(&spec("acme/db"))).expect("stored");
    let file = specs.path(&service("web"));
    drop(specs);
    fs::write(&file, "ident = oops").expect("written");
    let specs = open();
    assert_eq!(specs.known(), [spec("acme/db"), web.clone()], "with its last good options");
    assert_eq!(specs.problems().len(), 1);
    assert!(specs.scan(|_| false).expect("read").changes.is_empty());
    // Mended, it is what it says now.
    web.group = "blue".into();
    fs::write(&file, file::print(&web).expect("text")).expect("written");
    let changes = specs.scan(|_| false).expect("read").changes;
    assert_eq!(changes, [Change::Load(Box::new(web.clone()))]);
    specs.persist(&service("web"), Some(&web)).expect("stored");
    assert_eq!(specs.problems(), []);
    // A link that leads nowhere cannot be read; a file that is gone is not wanted.
    fs::remove_file(&file).expect("removed");
    symlink("nowhere", &file).expect("linked");
    assert_eq!(open().known(), [spec("acme/db"), web]);
    fs::remove_file(&file).expect("removed");
    assert_eq!(open().known(), [spec("acme/db")]);
    assert_eq!(open().problems(), []);
}

#[test]
fn a_directory_that_cannot_be_read_is_named_and_unloads_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("specs");
    let specs = Specs::open(path.clone(), Vec::new()).expect("opened");
    specs.persist(&service("web"), Some(&spec("acme/web"))).expect("stored");
    let aside = dir.path().join("aside");
    fs::rename(&path, &aside).expect("moved");
    for _ in 0..3 {
        assert!(specs.scan(|_| false).is_err());
    }
    let problems = specs.problems();
    assert!(problems.len() == 1 && problems[0].path == path, "{problems:?}");
    assert!(problems[0].reason.contains("cannot be read"), "{problems:?}");
    fs::rename(&aside, &path).expect("moved back");
    assert!(specs.scan(|_| false).expect("read").changes.is_empty());
    assert_eq!((specs.problems(), specs.known()), (vec![], vec![spec("acme/web")]));
}
