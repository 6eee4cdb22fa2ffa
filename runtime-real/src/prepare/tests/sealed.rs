//! What users sealed for a service's group: what counts, and what goes on counting where it cannot be opened.

use annulus_core::{GroupConfig, GroupFile, ObstacleKind, Sealed, ServiceGroup, UnixTime};

use super::*;
use crate::keys::{KeyId, KeyKind, Purpose};

const SECRET: &str = "correct horse";

/// A service of a group with a key, and the user bob.
struct Vaulted {
    bench: Bench,
    group: ServiceGroup,
    user: KeyId,
    service: KeyId,
}

impl Vaulted {
    fn new() -> Self {
        let mut bench = Bench::new(&[
            ("default.toml", "word = \"default\"\nport = 1"),
            ("EXPORTS", "port=port\nword=word\n"),
            ("hooks/run", ""),
            ("config/out", "{{cfg.word}}"),
        ]);
        bench.org = Some("acme".to_owned());
        let group: ServiceGroup = "web-shop.default@acme".parse().expect("a group");
        let now = UnixTime::from_millis(1_780_000_000_000);
        let keys = bench.vault.keys();
        let user = keys.generate_user("bob", now).expect("made");
        let service = keys.generate_service(&group, now).expect("made");
        Self { bench, group, user, service }
    }

    fn seal(&self, file: Option<&str>, version: u64, content: &str) -> Vec<u8> {
        let purpose = Purpose { group: &self.group, file, version };
        let sealed = self.bench.vault.keys().seal("bob", purpose, content.as_bytes()).expect("sealed");
        Sealed { text: &sealed.text, signature: &sealed.signature }.to_body().expect("text")
    }

    fn config(&self, version: u64, content: &str) -> Facts {
        let mut facts = Facts::alone(me());
        let toml = self.seal(None, version, content);
        facts.sealed.config = Some(GroupConfig { incarnation: version, toml });
        facts
    }

    /// Moves a key's file away, or back.
    fn move_key(&self, id: &KeyId, kind: KeyKind, is_there: bool) {
        let path = self.bench.root.keys().join(id.file_name(kind));
        let aside = path.with_extension("aside");
        let (from, to) = if is_there { (&aside, &path) } else { (&path, &aside) };
        fs::rename(from, to).expect("moved");
    }

    /// Another supervisor begins with the same disk.
    fn restart(&mut self) {
        let keys = self.bench.vault.keys().clone();
        self.bench.vault = Vault::new(keys, Some(self.bench.root.path().join("kept")), false);
    }
}

fn obstacles(done: &Done) -> Vec<(ObstacleKind, String)> {
    done.written.obstacles.iter().map(|obstacle| (obstacle.kind, obstacle.what.clone())).collect()
}

#[test]
fn with_a_key_of_its_group_only_what_came_sealed_counts() {
    let world = Vaulted::new();
    let spec = Bench::spec();
    let mut facts = world.config(1, &format!("word = \"{SECRET}\""));
    let done = world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert_eq!((world.bench.read("config/out").as_str(), done.written.layers.group_version), (SECRET, 1));
    assert!(obstacles(&done).is_empty(), "{:?}", obstacles(&done));
    // A plain one with a higher number displaces nothing.
    facts.config = Some(GroupConfig { incarnation: 9, toml: b"word = \"plain\"".to_vec() });
    let done = world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert_eq!(world.bench.read("config/out"), SECRET);
    let told = obstacles(&done);
    assert!(
        told.len() == 1 && told[0].1.contains("config apply web-shop.default@acme 10 --empty"),
        "{told:?}"
    );
    // Nor does it count alone.
    facts.sealed.config = None;
    let done = world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert_eq!(world.bench.read("config/out"), "default");
    assert_eq!(obstacles(&done)[0].0, ObstacleKind::Key, "it is not in effect");
    facts.config = Some(GroupConfig { incarnation: 10, toml: Vec::new() });
    let done = world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert!(obstacles(&done).is_empty(), "taken back");
}

#[test]
fn without_a_key_of_its_group_a_service_takes_what_comes_plain() {
    let world = Vaulted::new();
    let mut facts = world.config(1, "word = \"sealed\"");
    world.move_key(&world.service, KeyKind::BoxSecret, false);
    facts.config = Some(GroupConfig { incarnation: 9, toml: b"word = \"plain\"".to_vec() });
    let done = world.bench.prepare_with(&Bench::spec(), &facts).expect("prepared");
    assert_eq!(world.bench.read("config/out"), "plain");
    let told = obstacles(&done);
    let file = world.service.file_name(KeyKind::BoxSecret);
    assert!(told.len() == 1 && told[0].0 == ObstacleKind::Key && told[0].1.contains(&file), "{told:?}");
}

#[test]
fn a_missing_key_leaves_what_was_before_and_its_return_heals() {
    let mut world = Vaulted::new();
    let spec = Bench::spec();
    let first = world.config(1, "word = \"one\"");
    world.bench.prepare_with(&spec, &first).expect("prepared");
    let second = world.config(2, "word = \"two\"");
    for (id, kind) in [(world.user.clone(), KeyKind::BoxPublic), (world.service.clone(), KeyKind::BoxSecret)]
    {
        world.move_key(&id, kind, false);
        let done = world.bench.prepare_with(&spec, &second).expect("prepared");
        assert_eq!(world.bench.read("config/out"), "one");
        let told = obstacles(&done);
        assert!(told[0].1.contains(&id.to_string()) && told[0].1.contains("version 2"), "{told:?}");
        // What is plain does not slip in while the key is gone.
        let config = Some(GroupConfig { incarnation: 9, toml: b"word = \"plain\"".to_vec() });
        world.bench.prepare_with(&spec, &Facts { config, ..second.clone() }).expect("prepared");
        assert_eq!(world.bench.read("config/out"), "one");
        // The next supervisor writes no other configuration in its place.
        world.restart();
        let error = world.bench.prepare_with(&spec, &second).expect_err("nothing opens").to_string();
        assert!(error.contains(&id.to_string()), "{error}");
        assert_eq!(world.bench.read("config/out"), "one");
        world.move_key(&id, kind, true);
        world.bench.prepare_with(&spec, &first).expect("healed");
    }
    world.bench.prepare_with(&spec, &second).expect("healed");
    assert_eq!(world.bench.read("config/out"), "two");
}

#[test]
fn an_older_version_does_not_come_back_and_no_other_takes_the_place_of_the_last() {
    let mut world = Vaulted::new();
    let spec = Bench::spec();
    let old = world.config(1, "word = \"old\"");
    let new = world.config(2, "word = \"new\"");
    world.bench.prepare_with(&spec, &new).expect("prepared");
    world.restart();
    let done = world.bench.prepare_with(&spec, &old).expect("prepared");
    assert_eq!(world.bench.read("config/out"), "new");
    assert!(obstacles(&done)[0].1.contains("an older one does not come back"), "{:?}", obstacles(&done));
    // Replayed under a higher number, cut off, or without the signature.
    let body = |facts: &Facts| facts.sealed.config.clone().expect("sealed").toml;
    let text = Sealed::of_body(&body(&new)).text.to_vec();
    for toml in [body(&old), body(&new)[..60].to_vec(), text, b"\0".to_vec(), Vec::new()] {
        let mut facts = Facts::alone(me());
        facts.sealed.config = Some(GroupConfig { incarnation: 3, toml });
        let done = world.bench.prepare_with(&spec, &facts).expect("prepared");
        assert_eq!(world.bench.read("config/out"), "new");
        assert_eq!(obstacles(&done)[0].0, ObstacleKind::Key);
        assert_eq!(done.written.layers.group_version, 2);
    }
}

#[test]
fn what_came_sealed_is_shown_to_nobody_else() {
    let world = Vaulted::new();
    let facts = world.config(1, &format!("word = \"{SECRET}\"\n[t]\nlist = [\"{SECRET}\"]"));
    let done = world.bench.prepare_with(&Bench::spec(), &facts).expect("prepared");
    assert_eq!(done.written.exports_toml.trim(), "port = 1", "the ring is told what did not come sealed");
    let redacted = done.written.layers.redacted();
    let shown = format!("{:?} {:?} {}", redacted, redacted.values(), redacted.merged());
    assert!(!shown.contains(SECRET) && shown.contains("(sealed)"), "{shown}");
    let bad = world.config(2, &format!("a = 1\nword = = \"{SECRET}\""));
    let done = world.bench.prepare_with(&Bench::spec(), &bad).expect("prepared");
    let told = obstacles(&done);
    assert!(told[0].1.contains("line 2") && !told[0].1.contains(SECRET), "{told:?}");
    assert_eq!(world.bench.read("config/out"), SECRET);
    let kept = world.bench.root.path().join("svc/web-shop/.layers");
    assert!(!kept.exists(), "no file but the service's own ones holds it");
    // What is kept beside the database is sealed.
    let kept = fs::read(world.bench.root.path().join("kept/web-shop.default@acme/config")).expect("kept");
    assert!(!String::from_utf8_lossy(&kept).contains(SECRET));
}

#[test]
fn sealed_files_are_opened_into_the_services_folder_alone() {
    let world = Vaulted::new();
    let spec = Bench::spec();
    let mut facts = Facts::alone(me());
    let file =
        |name: &str, incarnation, body: Vec<u8>| GroupFile { name: name.to_owned(), incarnation, body };
    facts.files = vec![file("plain", 1, b"plain".to_vec()), file("a", 7, b"plain".to_vec())];
    facts.sealed.files =
        vec![file("a", 1, world.seal(Some("a"), 1, SECRET)), file("b", 1, world.seal(Some("a"), 1, "x"))];
    let done = world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert_eq!(world.bench.read("files/a"), SECRET);
    assert!(!world.bench.svc("files/b").exists(), "it was signed under another name");
    assert!(!world.bench.svc("files/plain").exists(), "plain ones do not count");
    assert_eq!(obstacles(&done).len(), 3, "{:?}", obstacles(&done));
    facts.sealed.files = vec![file("a", 2, world.seal(Some("a"), 2, "two"))];
    world.move_key(&world.user, KeyKind::BoxPublic, false);
    world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert_eq!(world.bench.read("files/a"), SECRET, "it stays as it is");
    world.move_key(&world.user, KeyKind::BoxPublic, true);
    world.bench.prepare_with(&spec, &facts).expect("prepared");
    assert_eq!(world.bench.read("files/a"), "two");
}
