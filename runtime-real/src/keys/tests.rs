//! Key files and the cache: Habitat's files are read, and no key is overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use annulus_core::UnixTime;

use super::*;
use crate::keys::crypto;

/// Written by Habitat itself: kind, suffix, text.
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
    for (name, at) in [("acme", 5), ("acme", 9), ("acme", 7), ("acme-plus", 20), ("acm", 30)] {
        cache.generate_origin(name, second(at)).expect("generated");
    }
    fs::write(cache.dir().join("acme-99999999999999.sig.key.bak"), "").expect("written");
    let latest = cache.latest("acme", KeyKind::SigSecret).expect("readable").expect("a key");
    assert_eq!(latest.to_string(), "acme-20260101000009");
    assert!(matches!(cache.generate_origin("acme", second(9)), Err(KeyError::Conflict { .. })));
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
    assert!(error.to_string().contains("line 1"), "{error}");
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
