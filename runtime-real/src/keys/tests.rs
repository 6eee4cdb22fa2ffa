//! Key files and the cache: Habitat's files are read, and no key is overwritten.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use annulus_core::UnixTime;

use super::*;
use crate::keys::crypto;

/// Written by Habitat itself: kind, suffix, text.
/// When these tests take place.
const NOW: UnixTime = UnixTime::from_millis(1_796_000_000_000);

const SAMPLES: [(KeyKind, &str, &str); 5] = [
    (
        KeyKind::SigPublic,
        "bench-origin-20261122015215.pub",
        "SIG-PUB-1\nbench-origin-20261122015215\n\nAd5DnqSfzEgRrh1WjsVdftVvVZgm2NGVjXLBTYPgcQ8=",
    ),
    (
        KeyKind::SigSecret,
        "bench-origin-20261122015215.sig.key",
        "SIG-SEC-1\nbench-origin-20261122015215\n\nh8VQS7wZrxNbFUH3Y4fuH9N4TGuCDwn7jpp43GIgxK0B3kOepJ/MSBGuHVaOxV1+1W9VmCbY0ZWNcsFNg+BxDw==",
    ),
    (
        KeyKind::Shared,
        "bench-ring-20261122015215.sym.key",
        "SYM-SEC-1\nbench-ring-20261122015215\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=",
    ),
    (
        KeyKind::BoxSecret,
        "sleeper.default@bench-org-20261122015215.box.key",
        "BOX-SEC-1\nsleeper.default@bench-org-20261122015215\n\nAVd+Nb0my7apxeA2ClQ6lajPDQqFsH1C8gyXyxXiELc=",
    ),
    (
        KeyKind::BoxPublic,
        "bench-user-20261122015215.pub",
        "BOX-PUB-1\nbench-user-20261122015215\n\nn3Za/8/j840ginJdcOHUdAHjJuEifZkXjdLKgvNz+U0=",
    ),
];

fn cache() -> (tempfile::TempDir, KeyCache) {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = KeyCache::new(dir.path().join("cache/keys"));
    (dir, cache)
}

fn second(n: u64) -> UnixTime {
    UnixTime::from_millis(1_767_225_600_000 + n * 1000)
}

#[test]
fn habitats_files_round_trip() {
    for (kind, name, text) in SAMPLES {
        let key = KeyFile::parse(text, Path::new(name)).expect("a key file");
        assert_eq!(key.kind, kind);
        assert_eq!(key.id.file_name(kind), name);
        assert_eq!(key.to_text(), text);
        assert_eq!(KeyFile::parse(&format!("{text}\n"), Path::new(name)).expect("a trailing line end"), key);
    }
    let secret = KeyFile::parse(SAMPLES[1].2, Path::new("x")).expect("a key file");
    let public = KeyFile::parse(SAMPLES[0].2, Path::new("x")).expect("a key file");
    let secret = crypto::SecretKey::from_bytes(secret.bytes()).expect("halves that belong together");
    assert_eq!(secret.public().as_bytes(), public.bytes());
}

#[test]
fn modes_are_habitats() {
    let (_dir, cache) = cache();
    for (kind, name, text) in SAMPLES {
        let path = cache.store(&KeyFile::parse(text, Path::new(name)).expect("a key file")).expect("stored");
        assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(name));
        let mode = path.metadata().expect("the file").permissions().mode() & 0o7777;
        assert_eq!(mode, if kind.suffix() == "pub" { 0o444 } else { 0o400 });
        assert_eq!(fs::read_to_string(&path).expect("the file"), text);
    }
}

#[test]
fn malformed_files_say_which_line() {
    let good: Vec<&str> = SAMPLES[0].2.split('\n').collect();
    let cases: [(usize, &str, &str); 8] = [
        (0, "SIG-PUB-2", "line 1"),
        (0, "", "line 1"),
        (1, "../evil-20261122015215", "line 2"),
        (1, "bench-origin-2026112201521", "line 2"),
        (1, "-20261122015215", "line 2"),
        (2, "x", "line 3"),
        (3, "Ad5D!", "line 4"),
        (3, "Ad5D", "line 4"),
    ];
    for (line, text, expected) in cases {
        let mut lines = good.clone();
        lines[line] = text;
        let error = KeyFile::parse(&lines.join("\n"), Path::new("k.pub")).expect_err("malformed").to_string();
        assert!(error.contains("k.pub") && error.contains(expected), "{error}");
    }
    assert!(KeyFile::parse("", Path::new("k.pub")).is_err());
}

#[test]
fn a_key_is_never_overwritten_with_another() {
    let (_dir, cache) = cache();
    let first = KeyFile::parse(SAMPLES[0].2, Path::new("x")).expect("a key file");
    let path = cache.store(&first).expect("stored");
    cache.store(&first).expect("the same again is fine");
    let other = KeyFile::new(KeyKind::SigPublic, first.id.clone(), &[7; 32]);
    let error = cache.store(&other).expect_err("refused");
    assert!(matches!(error, KeyError::Conflict { .. }), "{error}");
    assert_eq!(fs::read_to_string(path).expect("the file"), SAMPLES[0].2);
}

#[test]
fn the_latest_revision_of_exactly_this_name() {
    let (_dir, cache) = cache();
    assert_eq!(cache.latest("acme", KeyKind::SigSecret).expect("no folder yet"), None);
    for (name, at) in [("acme", 5), ("acme", 7), ("acme", 9), ("acme-plus", 20), ("acm", 30)] {
        cache.generate_origin(name, second(at)).expect("generated");
    }
    fs::write(cache.dir().join("acme-99999999999999.sig.key.bak"), "").expect("written");
    let latest = cache.latest("acme", KeyKind::SigSecret).expect("readable").expect("a key");
    assert_eq!(latest.to_string(), "acme-20260101000009");
    assert!(matches!(cache.generate_origin("acme", second(9)), Err(KeyError::SameSecond { .. })));
}

#[test]
fn an_origins_key_is_made_once() {
    let (_dir, cache) = cache();
    let (id, key, new) = cache.origin_secret_or_new("acme", second(0)).expect("a key");
    assert!(new);
    let (again, same, new) = cache.origin_secret_or_new("acme", second(60)).expect("a key");
    assert!(!new);
    assert_eq!((id.clone(), key.as_bytes()), (again, same.as_bytes()));
    let signed = crypto::sign(b"message", &key);
    let public = cache.origin_public(&id).expect("its public half");
    assert_eq!(crypto::open_signed(&signed, &public).as_deref(), Some(&b"message"[..]));
}

#[test]
fn two_first_uses_at_once_make_one_key() {
    let (_dir, cache) = cache();
    let made: Vec<bool> = std::thread::scope(|scope| {
        let builds: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| cache.origin_secret_or_new("acme", second(0)).expect("a key").2))
            .collect();
        builds.into_iter().map(|build| build.join().expect("no panic")).collect()
    });
    assert_eq!(made.iter().filter(|new| **new).count(), 1);
}

#[test]
fn what_is_missing_or_misnamed_is_named() {
    let (_dir, cache) = cache();
    let id: KeyId = "acme-20260101000000".parse().expect("an id");
    let error = cache.origin_public(&id).expect_err("missing").to_string();
    assert!(error.contains("acme-20260101000000.pub") && error.contains("cache/keys"), "{error}");

    fs::create_dir_all(cache.dir()).expect("made");
    fs::write(cache.dir().join("acme-20260101000000.pub"), SAMPLES[0].2).expect("written");
    let error = cache.origin_public(&id).expect_err("another key's file").to_string();
    assert!(error.contains("line 2 names another key"), "{error}");

    // A user's public key has the same suffix and must not check packages.
    fs::write(cache.dir().join("bench-user-20261122015215.pub"), SAMPLES[4].2).expect("written");
    let error =
        cache.origin_public(&"bench-user-20261122015215".parse().expect("an id")).expect_err("wrong kind");
    let error = error.to_string();
    assert!(error.contains("a user or service group (BOX-PUB-1)") && error.contains("SIG-PUB-1"), "{error}");
}

#[test]
fn names_cannot_leave_the_folder() {
    for bad in ["", ".", "..", "../x", "a/b", "a b", "-x", "a\nb", "ü", &"x".repeat(201)] {
        assert!(matches!(KeyId::new(bad, second(0)), Err(KeyError::Name { .. })), "{bad:?}");
    }
    let (_dir, cache) = cache();
    for bad in ["..", "a/b", "a.b", "a@b"] {
        assert!(matches!(cache.generate_origin(bad, second(0)), Err(KeyError::Name { .. })), "{bad:?}");
    }
    assert!(!cache.dir().exists());
}

#[test]
fn every_owner_gets_its_keys() {
    let (_dir, cache) = cache();
    let ring = cache.generate_ring("prod", second(0)).expect("made");
    let user = cache.generate_user("bob", second(0)).expect("made");
    let group = "web.blue@acme".parse().expect("a group");
    let service = cache.generate_service(&group, second(0)).expect("made");
    let mut files: Vec<String> = fs::read_dir(cache.dir())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "bob-20260101000000.box.key",
            "bob-20260101000000.pub",
            "prod-20260101000000.sym.key",
            "web.blue@acme-20260101000000.box.key",
            "web.blue@acme-20260101000000.pub",
        ]
    );
    assert_eq!(cache.ring("prod", NOW).expect("its key").0, ring);
    for id in [user, service] {
        assert_eq!(cache.box_secret(&id).expect("a key").public(), cache.box_public(&id).expect("a key"));
    }
    let error = cache
        .generate_service(&"web.blue".parse().expect("a group"), second(1))
        .expect_err("no organization");
    assert!(error.to_string().contains("web.blue@ORG"), "{error}");
    for bad in ["a@b", "../x", ""] {
        assert!(matches!(cache.generate_user(bad, second(1)), Err(KeyError::Name { .. })), "{bad}");
        assert!(cache.generate_ring(bad, second(1)).is_err(), "{bad}");
    }
}

#[test]
fn an_owner_without_key_is_told_how_to_get_one() {
    let (_dir, cache) = cache();
    for (name, kind, way) in [
        ("prod", KeyKind::Shared, "annulus ring key generate prod"),
        ("acme", KeyKind::SigPublic, "annulus origin key import"),
        ("bob", KeyKind::BoxSecret, "annulus user key generate bob"),
        ("web.blue@acme", KeyKind::BoxPublic, "annulus svc key generate web.blue acme"),
    ] {
        let error = cache.export(name, kind).expect_err("none").to_string();
        assert!(error.contains(way) && error.contains("cache/keys"), "{error}");
    }
    assert!(!cache.dir().exists(), "nothing is made by looking");
}

#[test]
fn public_keys_of_one_name_are_told_apart() {
    let (_dir, cache) = cache();
    cache.generate_origin("acme", second(0)).expect("made");
    let user = cache.generate_user("acme", second(5)).expect("made");
    assert_eq!(cache.latest("acme", KeyKind::BoxPublic).expect("readable"), Some(user));
    let signer = cache.latest("acme", KeyKind::SigPublic).expect("readable").expect("the origin's");
    assert_eq!(signer.to_string(), "acme-20260101000000");
}

#[test]
fn an_exported_key_is_imported() {
    let (_one, here) = cache();
    let (_two, there) = cache();
    here.generate_origin("acme", second(0)).expect("made");
    here.generate_ring("prod", second(0)).expect("made");
    for (name, kind) in
        [("acme", KeyKind::SigPublic), ("acme", KeyKind::SigSecret), ("prod", KeyKind::Shared)]
    {
        let text = here.export(name, kind).expect("a key");
        let from = Path::new("standard input");
        assert!(!there.import(&text, from, &[kind]).expect("taken").was_there);
        assert!(there.import(&format!("{text}\r\n"), from, &[kind]).expect("the same").was_there);
        assert_eq!(there.export(name, kind).expect("a key"), text);
    }
}

#[test]
fn what_is_no_key_or_the_wrong_one_is_not_imported() {
    let (_dir, cache) = cache();
    let import = |text: &str, kind| {
        cache.import(text, Path::new("standard input"), &[kind]).expect_err("refused").to_string()
    };
    let shared = SAMPLES[2].2;
    for (text, why) in [
        ("", "line 1"),
        ("SYM-SEC-1", "only line 1"),
        (&shared[..20], "line 2"),
        (&shared[..60], "line 4"),
        (&shared.replace('\n', " "), "line 1"),
        (&format!("{shared}\n{shared}"), "more than one key"),
        (&format!("{shared}\n{}", " ".repeat(5_000)), "longer than any key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nx", "line 1"),
        (SAMPLES[3].2, "holds the secret key of a user or service group (BOX-SEC-1), and the key of a ring"),
    ] {
        let error = import(text, KeyKind::Shared);
        assert!(error.contains(why) && error.contains("standard input"), "{text:?}: {error}");
    }
    let error = import(SAMPLES[1].2, KeyKind::SigPublic);
    assert!(error.contains("the secret key of an origin"), "{error}");
    let mut halves = KeyFile::parse(SAMPLES[1].2, Path::new("x")).expect("a key").bytes().to_vec();
    halves[40] ^= 1;
    let forged =
        SAMPLES[1].2.rsplit_once('\n').expect("lines").0.to_owned() + "\n" + &crypto::base64_encode(&halves);
    assert!(import(&forged, KeyKind::SigSecret).contains("followed by its public key"));
    assert!(!cache.dir().exists(), "nothing is written");
}

#[test]
fn halves_of_one_name_have_to_be_a_pair() {
    let ((_here, cache), (_there, elsewhere)) = (cache(), cache());
    for owner in [KeyKind::SigPublic, KeyKind::BoxPublic] {
        let make = |cache: &KeyCache| match owner {
            KeyKind::SigPublic => cache.generate_origin("acme", second(0)).map(|(id, _)| id),
            _ => cache.generate_user("acme", second(9)),
        };
        let id = make(&cache).expect("made");
        make(&elsewhere).expect("made");
        let secret = owner.partner().expect("a pair");
        let path = cache.path(&id, owner);
        let own = fs::read(&path).expect("its file");
        fs::remove_file(&path).expect("removed");
        // Alone, the secret half is enough; the public half of another pair does not come in beside it.
        cache.load(&id, secret).expect("the secret half");
        let foreign = elsewhere.export("acme", owner).expect("a key");
        let error =
            cache.import(&foreign, Path::new("standard input"), &[owner]).expect_err("no pair").to_string();
        assert!(error.contains("does not belong to") && !path.exists(), "{error}");
        fs::write(&path, foreign).expect("put there by hand");
        for half in [owner, secret] {
            assert!(matches!(cache.load(&id, half), Err(KeyError::Pair { .. })));
        }
        fs::write(&path, own).expect("put back");
        cache.load(&id, secret).expect("a pair again");
    }
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let (_dir, cache) = cache();
    let id = cache.generate_ring("prod", second(0)).expect("made");
    let path = cache.path(&id, KeyKind::Shared);
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    set(0o644);
    let error = cache.ring("prod", NOW).expect_err("readable by all").to_string();
    assert!(
        error.contains("mode 644") && error.ends_with(&format!("run `chmod 400 {}`", path.display())),
        "{error}"
    );
    set(0o600);
    cache.ring("prod", NOW).expect("the owner's alone");

    let user = cache.generate_user("bob", second(0)).expect("made");
    let public = cache.path(&user, KeyKind::BoxPublic);
    fs::set_permissions(&public, fs::Permissions::from_mode(0o666)).expect("set");
    let error = cache.box_public(&user).expect_err("writable by all").to_string();
    assert!(error.contains("another key in its place") && error.contains("chmod 444"), "{error}");
}

#[test]
fn files_behind_links_are_read() {
    let (_dir, cache) = cache();
    // As Kubernetes mounts a secret: the file is a link through the link `..data`.
    let version = cache.dir().join("..2026_01_01_00_00_00.1");
    fs::create_dir_all(&version).expect("made");
    let name = SAMPLES[2].1;
    fs::write(version.join(name), SAMPLES[2].2).expect("written");
    fs::set_permissions(version.join(name), fs::Permissions::from_mode(0o400)).expect("set");
    symlink("..2026_01_01_00_00_00.1", cache.dir().join("..data")).expect("linked");
    symlink(Path::new("..data").join(name), cache.dir().join(name)).expect("linked");
    let (id, key) = cache.ring("bench-ring", NOW).expect("found through the links");
    assert_eq!(id.file_name(KeyKind::Shared), name);
    assert_eq!(crypto::base64_encode(key.as_bytes()), SAMPLES[2].2.rsplit('\n').next().expect("line 4"));
    // The mode that counts is the file's, and not the link's.
    fs::set_permissions(version.join(name), fs::Permissions::from_mode(0o440)).expect("set");
    assert!(matches!(cache.ring("bench-ring", NOW), Err(KeyError::Mode { .. })));
    fs::remove_file(cache.dir().join("..data")).expect("removed");
    let error = cache.ring("bench-ring", NOW).expect_err("a dead link").to_string();
    assert!(error.contains("leads nowhere") && error.contains(name), "{error}");
}

#[test]
fn a_wrong_clock_is_named() {
    let (_dir, cache) = cache();
    let error = cache.generate_ring("prod", UnixTime::from_millis(90_000)).expect_err("1970").to_string();
    assert!(error.contains("1970-01-01T00:01:30") && error.contains("set the clock"), "{error}");
    let id = cache.generate_ring("prod", second(400_000_000)).expect("made by a host in 2038");
    let user = cache.generate_user("bob", second(400_000_000)).expect("made by a host in 2038");
    let error = cache.generate_user("bob", second(0)).expect_err("older than the newest").to_string();
    assert!(error.contains(&user.to_string()) && error.contains("would not count"), "{error}");
    let remarks = cache.remarks(&id, KeyKind::Shared, second(0));
    assert!(remarks.len() == 1 && remarks[0].contains("ahead of this host's clock"), "{remarks:?}");
    assert!(cache.remarks(&id, KeyKind::Shared, second(400_000_000)).is_empty());
    assert_eq!(cache.ring("prod", second(0)).expect("the only one").0, id);
    let today = KeyFile::new(KeyKind::Shared, "prod-20260101000001".parse().expect("a name"), &[7; 32]);
    cache.store(&today).expect("stored");
    assert_eq!(
        cache.ring("prod", second(0)).expect("one of today").0,
        today.id,
        "no member changes over to the other"
    );
    assert_eq!(cache.ring("prod", second(400_000_000)).expect("the newest").0, id);
    let error = cache.generate_ring("prod", second(400_000_000)).expect_err("twice").to_string();
    assert!(error.contains("wait for the next one"), "{error}");
    assert_eq!(fs::read_dir(cache.dir()).expect("a folder").count(), 4);
}

#[test]
fn a_revision_that_is_no_time_is_taken_nowhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = KeyCache::new(dir.path().to_owned());
    let now = UnixTime::from_millis(1_796_055_207_000);
    let id = keys.generate_ring("blue", now).expect("made");
    for revision in ["99999999999999", "20261399000000", "00000000000000"] {
        let text = format!("SYM-SEC-1\nblue-{revision}\n\n0VDUuLDTfuFpwGY+j0kssC0oOLHxkjifFfpPgaY+zOM=");
        let refused =
            keys.import(&text, Path::new("a test"), &[KeyKind::Shared]).expect_err(revision).to_string();
        assert!(refused.contains("line 2"), "{refused}");
        std::fs::write(dir.path().join(format!("blue-{revision}.sym.key")), text).expect("written");
    }
    assert_eq!(keys.revisions("blue", KeyKind::Shared).expect("readable"), std::slice::from_ref(&id));
    let remarks = keys.remarks(&id, KeyKind::Shared, now);
    assert!(
        remarks.len() == 3 && remarks[2].contains("blue-99999999999999.sym.key is passed over"),
        "{remarks:?}"
    );
}

#[test]
fn a_ring_whose_key_is_ahead_of_the_clock_gets_a_newer_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = KeyCache::new(dir.path().to_owned());
    let now = UnixTime::from_millis(1_796_055_207_000);
    let ahead =
        keys.generate_ring("blue", UnixTime::from_millis(now.as_millis() + 200_000_000_000)).expect("made");
    let (passed, over) = keys.generate_ring_beside("blue", now, &[]).expect("made");
    assert!(passed < ahead && over == [ahead.clone()], "no member takes it: {passed} {over:?}");
    let current = [ahead.clone()];
    let (next, over) = keys.generate_ring_beside("blue", now, &current).expect("made");
    assert!(next > ahead && over.is_empty(), "it is what the ring speaks with: {next} {over:?}");
    let held = [ahead, next.clone()];
    assert!(keys.generate_ring_beside("blue", now, &held).expect("made").0 > next);
    let soon = KeyCache::new(dir.path().join("soon"));
    let month = UnixTime::from_millis(now.as_millis() + 2_592_000_000);
    let ahead = soon.generate_ring("blue", month).expect("made");
    assert!(soon.generate_ring("blue", now).expect("made") > ahead, "members take it");
    for name in ["blue-20260101000000", "blue-99999999999999", "a@b", &"x".repeat(129)] {
        let refused = keys.generate_ring(name, now).expect_err(name).to_string();
        assert!(refused.contains("cannot name a ring"), "{refused}");
    }
}
