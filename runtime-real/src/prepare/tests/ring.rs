//! What templates learn of the ring: their own group, the groups that the service is bound to, the group's
//! configuration and files.

use std::collections::{BTreeMap, BTreeSet};

use annulus_core::{
    BindingMode, CensusElection, CensusGroup, CensusMember, ElectionPurpose, ElectionStatus, GroupConfig,
    GroupFile, Health, Hook, Instant, Role, ServiceGroup, State,
};

use super::*;

fn id(n: u8) -> MemberId {
    MemberId::from_bytes([n; 16])
}

fn member(n: u8, state: State, cfg: &str) -> CensusMember {
    CensusMember {
        member_id: id(n),
        pkg: IDENT.parse().expect("an ident"),
        pkg_incarnation: 3,
        initialized: true,
        sys: SysInfo { hostname: format!("host-{n}"), ..SysInfo::default() },
        cfg: cfg.to_owned(),
        health: Health::Ok,
        accepting: true,
        maintenance: None,
        config_incarnation: 0,
        versions_digest: 0,
        held_back: BTreeSet::new(),
        slow_hook: None,
        state: Some(state),
        permanent: false,
    }
}

fn facts_of(groups: &[(&str, Vec<CensusMember>)]) -> Facts {
    let mut facts = Facts::alone(me());
    for (name, members) in groups {
        let service_group: ServiceGroup = name.parse().expect("a group");
        let population: BTreeMap<_, _> = members.iter().map(|m| (m.member_id, m.clone())).collect();
        let group = CensusGroup { pkg_incarnation: 3, population, ..CensusGroup::new(&service_group) };
        facts.census.groups.insert(service_group, group);
    }
    facts
}

const OWN: &str = "web-shop.default";

/// Renders a template with these facts.
fn with_facts(template: &str, facts: &Facts) -> String {
    let bench = Bench::new(&[("hooks/run", ""), ("config/out", template)]);
    bench.prepare_with(&Bench::spec(), facts).expect("prepared");
    bench.read("config/out")
}

/// What the files were written in spite of.
fn warnings(done: &Done) -> Vec<String> {
    done.written.obstacles.iter().map(|obstacle| obstacle.what.clone()).collect()
}

#[test]
fn a_service_is_among_the_members_before_the_ring_knows_it() {
    let template = "{{#each svc.members}}{{member_id}}={{cfg.port}},{{/each}} {{svc.me.cfg.port}} {{svc.service}}.{{svc.group}}";
    let files = [
        ("hooks/run", ""),
        ("default.toml", "port = 1"),
        ("EXPORTS", "port=port\n"),
        ("config/out", template),
    ];
    let bench = Bench::new(&files);
    let mut done = bench.prepare().expect("prepared");
    assert_eq!(bench.read("config/out"), format!("{}=1, 1 web-shop.default", me()));
    // That the ring has heard of the service must not change its files, which would restart it.
    let told = CensusMember { member_id: me(), ..member(1, State::Alive, "port = 1") };
    bench.render(&mut done, &facts_of(&[(OWN, vec![told])])).expect("rendered");
    assert_eq!(done.written.files, Vec::<String>::new());
}

#[test]
fn members_are_those_that_answer_and_say_how_they_are() {
    let sick = CensusMember { health: Health::Critical, accepting: false, ..member(2, State::Suspect, "") };
    let facts = facts_of(&[(
        OWN,
        vec![
            member(1, State::Alive, "port = 81"),
            sick,
            member(3, State::Confirmed, ""),
            member(4, State::Departed, ""),
        ],
    )]);
    let template = "{{#each svc.members}}{{sys.hostname}} {{alive}} {{suspect}} {{accepting}} {{healthy}} {{health}} {{package}} {{pkg.version}}\n{{/each}}";
    assert_eq!(
        with_facts(template, &facts),
        format!(
            "host-1 true false true true ok {IDENT} 1.2.0\nhost-2 false true false false critical {IDENT} 1.2.0\n\
             host-1 true false true true ok {IDENT} 1.2.0\n"
        )
    );
    assert_eq!(with_facts("{{svc.first.sys.hostname}} {{svc.leader.member_id}}", &facts), "host-1 ");
    assert_eq!(with_facts("{{#eachAlive svc.members as |m|}}{{m.cfg.port}};{{/eachAlive}}", &facts), "81;;");
}

#[test]
fn the_role_says_who_leads_and_which_term() {
    let template = "{{svc.me.leader}} {{svc.me.follower}} {{svc.leader.member_id}} {{svc.first.member_id}} {{svc.election.term}} {{svc.election_is_running}} {{svc.election_is_finished}}";
    let mut facts = facts_of(&[(OWN, vec![member(1, State::Alive, "")])]);
    let of = |role, facts: &mut Facts| {
        facts.role = role;
        with_facts(template, facts)
    };
    let (first, own) = (id(1), me());
    assert_eq!(of(None, &mut facts), format!("false false  {first}  false false"));
    let waiting = Role::Waiting { why: "two members are missing".to_owned() };
    assert_eq!(of(Some(waiting), &mut facts), format!("false false  {first}  true false"));
    let leads = Role::Leader { term: 7, until: Instant::ZERO };
    assert_eq!(of(Some(leads), &mut facts), format!("true false {own} {own} 7 false true"));
    let follows = Role::Follower { term: 8, leader: first };
    assert_eq!(of(Some(follows), &mut facts), format!("false true {first} {first} 8 false true"));
}

fn bound(mode: BindingMode) -> ServiceSpec {
    ServiceSpec { binds: vec!["db:postgres.prod".to_owned()], binding_mode: mode, ..Bench::spec() }
}

const BOUND: [(&str, &str); 3] = [
    ("hooks/run", ""),
    ("BINDS", "db=port user\n"),
    (
        "config/out",
        "{{#if bind.db}}{{bind.db.first.cfg.port}}{{#eachAlive bind.db.members as |m|}} {{m.cfg.user}}{{/eachAlive}}{{else}}none{{/if}}",
    ),
];

#[test]
fn a_bind_shows_once_it_is_satisfied() {
    let bench = Bench::new(&BOUND);
    let spec = bound(BindingMode::Relaxed);
    let mut done = bench.prepare_with(&spec, &facts_of(&[])).expect("prepared");
    assert_eq!(bench.read("config/out"), "none", "no member serves it");
    for (members, expected) in [
        (vec![member(1, State::Confirmed, "port = 1\nuser = \"a\"")], "none"),
        (vec![member(1, State::Alive, "port = 1")], "none"),
        (vec![member(1, State::Alive, "not TOML")], "none"),
        (vec![member(1, State::Suspect, "port = 1\nuser = \"a\"")], "1"),
        (
            vec![
                member(1, State::Confirmed, "port = 9"),
                member(2, State::Alive, "port = 2\nuser = \"b\""),
                member(3, State::Alive, "port = 3\nuser = \"c\""),
            ],
            "2 b c",
        ),
    ] {
        bench.render(&mut done, &facts_of(&[("postgres.prod", members)])).expect("rendered");
        assert_eq!(bench.read("config/out"), expected);
    }
}

#[test]
fn a_strict_service_has_no_files_before_its_binds_are_satisfied() {
    let mut files = BOUND.to_vec();
    files.push(("config/needs", "{{toUppercase bind.db.members}}"));
    let bench = Bench::new(&files[..3]);
    let mut done = bench.prepare_with(&bound(BindingMode::Strict), &facts_of(&[])).expect("prepared");
    assert!(!bench.svc("config/out").exists(), "its templates could not do without");
    assert_eq!(*done.service.hooks(), BTreeSet::from([Hook::Run]));
    let satisfied = facts_of(&[("postgres.prod", vec![member(1, State::Alive, "port = 1\nuser = \"a\"")])]);
    bench.render(&mut done, &satisfied).expect("rendered");
    assert_eq!(bench.read("config/out"), "1 a");
    assert!(done.written.changed.config);
}

fn group_config(incarnation: u64, toml: &[u8]) -> Facts {
    Facts { config: Some(GroupConfig { incarnation, toml: toml.to_vec() }), ..Facts::alone(me()) }
}

#[test]
fn the_groups_configuration_lies_on_top_and_a_malformed_one_changes_nothing() {
    let bench = Bench::new(&[
        ("default.toml", "a = 1\nb = 1"),
        ("hooks/run", ""),
        ("config/out", "{{cfg.a}}{{cfg.b}}"),
    ]);
    bench.user_toml("a = 2");
    let mut done = bench.prepare_with(&Bench::spec(), &group_config(4, b"a = 3")).expect("prepared");
    assert_eq!((bench.read("config/out").as_str(), done.written.layers.group_version), ("31", 4));
    let bad: [&[u8]; 3] = [b"a = = 4", b"a = \"\xff\"", &deep(31)];
    for toml in bad {
        bench.render(&mut done, &group_config(5, toml)).expect("rendered");
        assert_eq!((bench.read("config/out").as_str(), done.written.layers.group_version), ("31", 4));
        let warning = warnings(&done).join("\n");
        assert!(warning.contains("group configuration, version 5"), "{warning}");
    }
    bench.render(&mut done, &group_config(6, b"b = 4")).expect("rendered");
    assert_eq!(
        (bench.read("config/out").as_str(), done.written.layers.group_version),
        ("24", 6),
        "replaced whole"
    );
    bench.render(&mut done, &Facts::alone(me())).expect("rendered");
    assert_eq!((bench.read("config/out").as_str(), done.written.layers.group_version), ("21", 0));
}

#[test]
fn a_start_with_a_configuration_that_no_template_takes_has_the_one_before() {
    let bench = Bench::new(&[
        ("default.toml", "a = 1\nlist = [\"x\"]"),
        ("hooks/run", ""),
        ("config/out", "{{cfg.a}}{{strJoin cfg.list \",\"}}"),
    ]);
    let start = |facts: &Facts| {
        bench.with_host(|host| {
            let mut service = Service::open(host, &Bench::spec())?;
            service.set_last_good(None);
            service.render_to_start(host, facts)
        })
    };
    let bad = group_config(2, b"a = 3\nlist = 7");
    let first = start(&bad).expect_err("there is none before it").to_string();
    bench.user_toml("a = 2");
    assert_eq!(start(&group_config(1, b"list = [\"y\", \"z\"]")).expect("rendered").layers.group_version, 1);
    assert_eq!(bench.read("config/out"), "2y,z");
    for _ in 0..2 {
        let written = start(&bad).expect("with the one before");
        assert_eq!((bench.read("config/out").as_str(), written.layers.group_version), ("2y,z", 1));
        let [obstacle] = written.obstacles.as_slice() else { panic!("one: {:?}", written.obstacles) };
        assert_eq!(obstacle.kind, annulus_core::ObstacleKind::Template);
        assert!(obstacle.what.starts_with(&first), "{}", obstacle.what);
    }
    // The layers before are those that a later supervisor finds, whatever it cannot read.
    let path = bench.root.user_toml(&"web-shop".parse().expect("a name"));
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    let written = start(&group_config(3, b"")).expect("rendered");
    assert_eq!(bench.read("config/out"), "2x");
    assert_eq!(written.obstacles.len(), 1, "{:?}", written.obstacles);
    let mode = fs::metadata(bench.svc(".layers")).expect("kept").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    // What is damaged counts as absent.
    fs::write(bench.svc(".layers"), "group_version = = 1").expect("written");
    assert!(start(&bad).is_err());
}

fn deep(depth: usize) -> Vec<u8> {
    format!("[{}]\nx = 1\n", vec!["t"; depth - 1].join(".")).into_bytes()
}

#[test]
fn group_files_are_written_into_their_folder_and_nowhere_else() {
    let bench = Bench::new(&[("hooks/run", "")]);
    let file =
        |name: &str, body: &str| GroupFile { name: name.to_owned(), incarnation: 1, body: body.into() };
    let mut facts = Facts::alone(me());
    facts.files =
        vec![file("a.pem", "one"), file("../../escaped", "x"), file(".bashrc", "x"), file("/tmp/x", "x")];
    let mut done = bench.prepare_with(&Bench::spec(), &facts).expect("prepared");
    assert!(done.written.changed.files);
    assert_eq!(bench.read("files/a.pem"), "one");
    assert_eq!(fs::read_dir(bench.svc("files")).expect("the folder").count(), 1);
    assert_eq!(warnings(&done).len(), 3, "{:?}", warnings(&done));
    bench.render(&mut done, &facts).expect("rendered");
    assert!(!done.written.changed.files, "they are there already");
    facts.files[0].body = b"two".to_vec();
    bench.render(&mut done, &facts).expect("rendered");
    assert!(done.written.changed.files && !done.written.changed.config);
    assert_eq!(bench.read("files/a.pem"), "two");
}

#[test]
fn what_changed_says_exactly_what_is_to_be_done() {
    let names = [
        "init",
        "run",
        "post-run",
        "reconfigure",
        "health-check",
        "suitability",
        "file-updated",
        "post-stop",
    ];
    for hook in names {
        let path = format!("hooks/{hook}");
        let mut files = vec![("hooks/run", "run"), ("config/out", "fixed")];
        files.retain(|(name, _)| *name != path);
        files.push((&path, "{{cfg.a}}"));
        let bench = Bench::new(&files);
        let mut done = bench.prepare().expect("prepared");
        bench.user_toml("a = 1");
        bench.render(&mut done, &Facts::alone(me())).expect("rendered");
        let changed = &done.written.changed;
        assert_eq!(changed.hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>(), [hook]);
        assert!(!changed.config && !changed.files);
    }
}

#[test]
fn a_malformed_user_toml_is_named_and_what_it_said_before_counts() {
    let bench = Bench::new(&[("default.toml", "a = 1"), ("hooks/run", ""), ("config/out", "{{cfg.a}}")]);
    bench.user_toml("a = 2");
    let mut done = bench.prepare().expect("prepared");
    let path = bench.root.user_toml(&"web-shop".parse().expect("a name"));
    let deep = deep(31);
    let bad: [&[u8]; 4] = [b"b = 1\na = = 3", b"a = \"\xff\"", &deep, &[b'#'; 1024 * 1024 + 1]];
    for text in bad {
        fs::write(&path, text).expect("written");
        bench.render(&mut done, &Facts::alone(me())).expect("rendered");
        assert_eq!(bench.read("config/out"), "2");
        let warning = warnings(&done).join("\n");
        assert!(warning.contains("user.toml"), "{warning}");
    }
    fs::remove_file(&path).expect("removed");
    bench.render(&mut done, &Facts::alone(me())).expect("rendered");
    assert_eq!(bench.read("config/out"), "1", "no file is no layer");
    bench.user_toml("a = = 3");
    bench.render(&mut done, &Facts::alone(me())).expect("rendered");
    assert!(warnings(&done)[0].contains("user.toml"), "{:?}", warnings(&done));
    assert_eq!(bench.read("config/out"), "1", "as when there was none");
}

#[test]
fn health_and_drain_of_the_plan_are_rendered_with_the_configuration() {
    let bench = Bench::new(&[
        ("hooks/run", ""),
        ("default.toml", "port = 8080"),
        ("HEALTH", "http = \"http://127.0.0.1:{{cfg.port}}/up\"\ntimeout_s = 3\n"),
        ("DRAIN", "timeout_s = 20\n[inflight]\nconnections = \"{{cfg.port}}\"\n"),
        ("DEMOTED", "reconfigure\n"),
    ]);
    let done = bench.prepare().expect("prepared");
    let health = done.written.health.expect("a check");
    assert_eq!(health.probe, Some(crate::package::Probe::Http("http://127.0.0.1:8080/up".to_owned())));
    assert_eq!(health.timeout_s, Some(3));
    let inflight = done.written.drain.inflight.expect("a source");
    assert_eq!(inflight, crate::package::Inflight::Connections("8080".to_owned()));
    assert!(done.service.has_health_check());
    assert_eq!(done.service.fixed().demoted, annulus_core::Demoted::Reconfigure);
    for (file, text) in
        [("HEALTH", "http = \"x\"\ntcp = \"y\"\n"), ("DRAIN", "speed = 1\n"), ("DEMOTED", "fired\n")]
    {
        let bench = Bench::new(&[("hooks/run", ""), (file, text)]);
        let error = bench.prepare().expect_err("malformed").to_string();
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn a_bound_group_shows_its_leader_and_the_own_group_what_it_lacks() {
    let files = [
        ("hooks/run", ""),
        ("BINDS", "db=port user\n"),
        (
            "config/out",
            "{{bind.db.leader.member_id}} {{bind.db.first.member_id}} {{svc.election_is_no_quorum}} {{svc.election_is_running}}",
        ),
    ];
    let bench = Bench::new(&files);
    let cfg = "port = 1\nuser = \"a\"";
    let members = vec![member(1, State::Alive, cfg), member(2, State::Alive, cfg)];
    let mut facts = facts_of(&[("postgres.prod", members), (OWN, Vec::new())]);
    let name: ServiceGroup = "postgres.prod".parse().expect("a group");
    let group = facts.census.groups.get_mut(&name).expect("the group");
    let election = CensusElection { status: ElectionStatus::Finished, term: 3, leader: Some(id(2)) };
    group.elections.insert(ElectionPurpose::Leader, election);
    let own: ServiceGroup = OWN.parse().expect("a group");
    let lost = CensusElection { status: ElectionStatus::NoQuorum, ..CensusElection::default() };
    let group = facts.census.groups.get_mut(&own).expect("the group");
    group.elections.insert(ElectionPurpose::Leader, lost);
    facts.role = Some(Role::Waiting { why: "two of three are gone".to_owned() });
    let mut done = bench.prepare_with(&bound(BindingMode::Strict), &facts).expect("prepared");
    assert_eq!(bench.read("config/out"), format!("{} {} true false", id(2), id(2)));
    let running = CensusElection { status: ElectionStatus::Running, ..election };
    let group = facts.census.groups.get_mut(&name).expect("the group");
    group.elections.insert(ElectionPurpose::Leader, running);
    bench.render(&mut done, &facts).expect("rendered");
    assert_eq!(bench.read("config/out"), format!(" {} true false", id(1)), "the last leader leads no longer");
}
