//! The boxes that Habitat made are opened here, and those that are made here by another library.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use annulus_core::UnixTime;
use dryoc::classic::crypto_box::crypto_box_open_easy;
use dryoc::classic::crypto_sign::crypto_sign_verify_detached;

use super::*;
use crate::keys::crypto::{BoxPublicKey, BoxSecretKey};

/// Keys of a test ring of Habitat 2.1.78, used nowhere else.
const KEYS: &[(&str, &str)] = &[
    (
        "bob-20261129121926.box.key",
        "BOX-SEC-1\nbob-20261129121926\n\nPXYiowVy1I/eXbLN2bt652whEkVVbbcu8ADg8GxoGbQ=",
    ),
    (
        "bob-20261129121926.pub",
        "BOX-PUB-1\nbob-20261129121926\n\nQOHmFpMQIMEu/gfqcZozivLBiagn2tP9ZbnFLux1TF4=",
    ),
    (
        "sleeper.box@acme-20261129121926.box.key",
        "BOX-SEC-1\nsleeper.box@acme-20261129121926\n\n5r5Oj9RmlZPHU3RDP54TwJ5Nr+Lw4FH6tMaJJBlCtpA=",
    ),
    (
        "sleeper.box@acme-20261129121926.pub",
        "BOX-PUB-1\nsleeper.box@acme-20261129121926\n\nOaVil6A7HuRdYmc0of7pVl62QVVczGU9Q6FNYdMM2SU=",
    ),
];
const CONFIG: &str = "BOX-1\nbob-20261129121926\nsleeper.box@acme-20261129121926\nDOHkEdSqd/IIyoiYJvoM8MGhdOCeFDwB\nr5mZJ40C4x/UusW7led+Q8Belwe+RrIFVM98Jt+AKRGKKjYZAdTj2wzMCe53";
const FILE: &str = "BOX-1\nbob-20261129121926\nsleeper.box@acme-20261129121926\nbVOvR+KB8NaszpxOKps5jtAIzfUl3Tej\nwlzIpFZ/CPZ70PplcNWSQR7m0puyFtPn4umM0IcR";

fn group(text: &str) -> ServiceGroup {
    text.parse().expect("a valid group")
}

fn cache() -> (tempfile::TempDir, KeyCache) {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = KeyCache::new(dir.path().to_owned());
    (dir, cache)
}

fn habitats() -> (tempfile::TempDir, KeyCache) {
    let (dir, cache) = cache();
    for (name, text) in KEYS {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
    }
    (dir, cache)
}

fn second(n: u64) -> UnixTime {
    UnixTime::from_millis(1_780_000_000_000 + n * 1_000)
}

/// A cache with a user, another user and a group.
fn acme() -> (tempfile::TempDir, KeyCache) {
    let (dir, cache) = cache();
    for user in ["bob", "eve"] {
        cache.generate_user(user, second(0)).expect("made");
    }
    cache.generate_service(&group("redis.prod@acme"), second(0)).expect("made");
    (dir, cache)
}

const fn config(group: &ServiceGroup, version: u64) -> Purpose<'_> {
    Purpose { group, file: None, version }
}

#[test]
fn what_habitat_sealed_is_opened() {
    let (_dir, cache) = habitats();
    let group = group("sleeper.box@acme");
    let open = |text: &str, file| {
        let sealed = Sealed { text: text.as_bytes(), signature: &[] };
        cache.unseal(sealed, Purpose { group: &group, file, version: 4 }, true).expect("opened")
    };
    let opened = open(CONFIG, None);
    assert_eq!(opened.content, b"greeting = \"secret greeting\"\n");
    assert_eq!(opened.user.to_string(), "bob-20261129121926");
    assert_eq!(open(FILE, Some("secret.txt")).content, b"a secret file\n");
    let sealed = Sealed { text: CONFIG.as_bytes(), signature: &[] };
    let error = cache.unseal(sealed, config(&group, 4), false).expect_err("not signed").to_string();
    assert!(error.contains("--require-user false"), "{error}");
}

#[test]
fn what_is_sealed_here_is_opened_along_the_documented_construction() {
    let (_dir, cache) = acme();
    let group = group("redis.prod@acme");
    let Made { text, signature, user, service } =
        cache.seal("bob", config(&group, 3), b"a = 1").expect("sealed");
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[..3], ["BOX-1", &user.to_string(), &service.to_string()]);
    assert_eq!(lines.len(), 5);
    let bytes = |line: &str| crypto::base64_decode(line).expect("base64");
    let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).expect("32 bytes");
    let (nonce, sealed) = (bytes(lines[3]), bytes(lines[4]));
    let mut content = vec![0; sealed.len() - 16];
    let (public, secret) =
        (cache.box_public(&user).expect("there"), cache.box_secret(&service).expect("there"));
    let nonce = nonce.try_into().expect("24 bytes");
    crypto_box_open_easy(&mut content, &sealed, &nonce, &array(public.as_bytes()), &array(secret.as_bytes()))
        .expect("opened");
    assert_eq!(content, b"a = 1");
    let sealed = Sealed { text: text.as_bytes(), signature: &signature };
    assert_eq!(cache.unseal(sealed, config(&group, 3), false).expect("opened").content, b"a = 1");
}

#[test]
fn a_users_key_signs_what_ed25519_checks() {
    for _ in 0..20 {
        let key = BoxSecretKey::generate();
        let signature = key.sign(b"words");
        assert!(key.public().verifies(b"words", &signature));
        assert!(!key.public().verifies(b"other words", &signature));
        assert!(!key.public().verifies(b"words", &signature[..63]));
        assert!(!BoxSecretKey::generate().public().verifies(b"words", &signature));
        let mut changed = signature;
        changed[40] ^= 1;
        assert!(!key.public().verifies(b"words", &changed));
        // u of the Montgomery curve is y = (u - 1) / (u + 1) of the Edwards curve, whose sign is 0.
        let public: [u8; 32] = key.public().as_bytes().try_into().expect("32 bytes");
        let point =
            curve25519_dalek::montgomery::MontgomeryPoint(public).to_edwards(0).expect("on the curve");
        let ed25519 = point.compress().to_bytes();
        crypto_sign_verify_detached(&signature, b"words", &ed25519).expect("another library agrees");
    }
    let nobody = BoxPublicKey::from_bytes(&[0; 32]).expect("32 bytes");
    assert!(!nobody.verifies(b"words", &[0; 64]), "a point of small order signs nothing");
}

#[test]
fn what_was_sealed_for_another_purpose_is_refused() {
    let (_dir, cache) = acme();
    let group = group("redis.prod@acme");
    let Made { text, signature, .. } = cache.seal("bob", config(&group, 3), b"a = 1").expect("sealed");
    let sealed = Sealed { text: &text, signature: &signature };
    let file = |version| Purpose { group: &group, file: Some("a"), version };
    for other in [config(&group, 4), config(&group, 2), file(3)] {
        let error = cache.unseal(sealed, other, true).expect_err("signed for something else");
        assert!(matches!(error, SealError::Signature { .. }), "{error}");
    }
    let other = "redis.other@acme".parse().expect("valid");
    let error = cache.unseal(sealed, config(&other, 3), true).expect_err("another group").to_string();
    assert!(error.contains("no key of redis.other@acme"), "{error}");
    let plain = "redis.prod".parse().expect("valid");
    assert!(matches!(
        cache.seal("bob", config(&plain, 1), b"").expect_err("no organization"),
        SealError::Key(_)
    ));
}

#[test]
fn who_holds_the_groups_key_cannot_forge_a_user() {
    let (_dir, cache) = acme();
    let group = group("redis.prod@acme");
    let Made { text, signature, user, service } =
        cache.seal("bob", config(&group, 3), b"a = 1").expect("sealed");
    // A box is symmetric: the group's key makes one in the user's name.
    let secret = cache.box_secret(&service).expect("there");
    let (nonce, sealed) = secret.seal(b"a = 666", &cache.box_public(&user).expect("there"));
    let forged = SignedBox { user, service: service.clone(), nonce, sealed }.to_text().into_bytes();
    let open = |text: &[u8], signature: &[u8], unsigned| {
        cache.unseal(Sealed { text, signature }, config(&group, 3), unsigned)
    };
    assert_eq!(open(&forged, &[], true).expect("Habitat is deceived").content, b"a = 666");
    assert!(matches!(open(&forged, &[], false), Err(SealError::Unsigned { .. })));
    assert!(matches!(open(&forged, &signature, false), Err(SealError::Signature { .. })));
    assert!(
        matches!(open(&text, &[], false), Err(SealError::Unsigned { .. })),
        "a signature that was cut off"
    );
    // Nor does the group pass for a user.
    let (nonce, sealed) = secret.seal(b"a = 666", &secret.public());
    let own = SignedBox { user: service.clone(), service, nonce, sealed }.to_text().into_bytes();
    assert!(matches!(open(&own, &[], true), Err(SealError::NotAUser { .. })));
}

#[test]
fn an_empty_public_key_beside_the_users_secret_one_is_named_before_anything_is_sealed() {
    let (dir, cache) = acme();
    let group = group("redis.prod@acme");
    let user = cache.latest("bob", KeyKind::BoxSecret).expect("readable").expect("a key");
    let path = dir.path().join(user.file_name(KeyKind::BoxPublic));
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "").expect("written");
    let error = cache.seal("bob", config(&group, 3), b"a = 1").expect_err("no pair").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    fs::remove_file(&path).expect("removed");
    cache.seal("bob", config(&group, 3), b"a = 1").expect("a key that is elsewhere is no fault");
}

#[test]
fn keys_that_are_missing_or_replaced_are_named() {
    let (dir, cache) = acme();
    let group = group("redis.prod@acme");
    let Made { text, signature, user, service } =
        cache.seal("bob", config(&group, 3), b"a = 1").expect("sealed");
    let open = || cache.unseal(Sealed { text: &text, signature: &signature }, config(&group, 3), false);
    let hide = |name: &str| fs::rename(dir.path().join(name), dir.path().join(format!("{name}.away")));
    let show = |name: &str| fs::rename(dir.path().join(format!("{name}.away")), dir.path().join(name));
    for (id, kind) in [(&service, KeyKind::BoxSecret), (&user, KeyKind::BoxPublic)] {
        let name = id.file_name(kind);
        hide(&name).expect("hidden");
        let error = open().expect_err("missing").to_string();
        assert!(error.contains(&name) && error.contains("copy the file"), "{error}");
        show(&name).expect("shown");
        open().expect("healed");
    }
    // Another key in the place of the user's.
    let public = user.file_name(KeyKind::BoxPublic);
    for name in [public.clone(), user.file_name(KeyKind::BoxSecret)] {
        hide(&name).expect("hidden");
    }
    let eve = cache.box_secret(&cache.latest("eve", KeyKind::BoxSecret).expect("read").expect("there"));
    let eve = eve.expect("there").public();
    let replaced = crate::keys::KeyFile::new(KeyKind::BoxPublic, user, eve.as_bytes());
    cache.store(&replaced).expect("stored");
    let error = open().expect_err("replaced").to_string();
    assert!(error.contains("another key than the user's"), "{error}");
    let error = cache.seal("alice", config(&group, 3), b"").expect_err("no such user").to_string();
    assert!(error.contains("annulus user key generate alice"), "{error}");
    let other = "redis.other@acme".parse().expect("valid");
    let error = cache.seal("eve", config(&other, 3), b"").expect_err("no key of the group").to_string();
    assert!(error.contains("annulus svc key generate redis.other acme"), "{error}");
}

#[test]
fn what_is_no_box_says_why() {
    let (_dir, cache) = habitats();
    let group = group("sleeper.box@acme");
    let lines: Vec<&str> = CONFIG.split('\n').collect();
    let without = |n: usize, text: &str| {
        let mut lines = lines.clone();
        lines[n] = text;
        lines.join("\n")
    };
    for (text, word) in [
        (String::new(), "BOX-1"),
        (lines[..3].join("\n"), "line 4"),
        (lines[..4].join("\n"), "line 5"),
        (without(0, "BOX-2"), "BOX-1"),
        (without(1, "bob"), "line 2"),
        (without(2, "../../etc/passwd-20261129121926"), "line 3"),
        (without(3, "AAAA"), "line 4"),
        (CONFIG[..CONFIG.len() - 1].to_owned(), "line 5"),
        (without(4, "AAAA"), "does not open"),
        (format!("{CONFIG}\nmore"), "goes on"),
        (without(2, "other.box@acme-20261129121926"), "no key of sleeper.box@acme"),
        (without(2, "sleeper.box@acme-20200101000000"), "20200101000000"),
        (without(1, "eve-20200101000000"), "eve-20200101000000.pub"),
    ] {
        let sealed = Sealed { text: text.as_bytes(), signature: &[] };
        let error = cache.unseal(sealed, config(&group, 4), true).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}
