//! What a depot takes, refuses and keeps.

use std::fs;
use std::path::Path;

use super::*;
use crate::depot::list::{ListedKey, OriginList};
use crate::depot::{Role, STABLE, UNSTABLE};
use crate::keys::crypto::{self, Hash};
use crate::keys::{KeyCache, KeyFile, KeyKind};
use crate::package::tests::{Bench, NOW, PLAN};
use crate::package::{Built, host_target};

struct World {
    bench: Bench,
    store: Store,
}

fn by() -> Actor {
    Actor { token: Some("t".to_owned()), from: "10.0.0.1:1".to_owned() }
}

fn world() -> World {
    let bench = Bench::new();
    let store = Store::make(Tree::new(bench.path("depot"))).expect("made");
    World { bench, store }
}

impl World {
    fn build(&self, version: &str) -> Built {
        self.bench.build(&[("plan.toml", &PLAN.replace("1.2.0", version)), ("default.toml", "a = 1\n")])
    }

    fn keys(&self) -> KeyCache {
        KeyCache::new(self.bench.root.keys())
    }

    /// Gives the depot the origin's public key.
    fn key(&self) {
        let text = self.keys().export("acme", KeyKind::SigPublic).expect("a key");
        let file = KeyFile::parse(&text, Path::new("x")).expect("a key");
        self.store.put_key("acme", file.id.revision(), &text, NOW, &by()).expect("taken");
    }

    fn upload(&self, built: &Built) -> Result<Record, Error> {
        self.upload_as(&built.ident, &fs::read(&built.path).expect("read"), None)
    }

    fn upload_as(&self, ident: &PackageIdent, bytes: &[u8], said: Option<Hash>) -> Result<Record, Error> {
        let checksum = said.unwrap_or_else(|| crypto::hash(bytes));
        let (upload, _) = self.store.begin_upload(ident, &host_target(), checksum)?;
        fs::write(upload.path(), bytes).expect("written");
        self.store.finish_upload(upload, NOW, &by())
    }

    /// Lets the depot sign what the origin's channels hold.
    fn certify(&self, number: u64) -> Result<u64, Error> {
        let channel_key = self.store.channel_key("acme", NOW).expect("a key");
        let (id, secret) = self.keys().origin_secret("acme").expect("read").expect("a key");
        let listed = vec![ListedKey::new(&id, &secret.public())];
        let text = OriginList::sign(("acme", number), listed, vec![channel_key], (&id, &secret), NOW);
        self.store.put_list("acme", &text, NOW, &by()).map(|(number, _)| number)
    }

    fn promote(&self, ident: &PackageIdent, channel: &str) -> Result<Moved, Error> {
        self.store.promote(ident, &host_target(), channel, NOW, &by())
    }

    fn latest(&self, channel: &str) -> Option<String> {
        let wanted = "acme/shop".parse().expect("an ident");
        let found = self.store.latest(channel, &wanted, &host_target()).ok()?;
        found.ident().map(|ident| ident.version().unwrap_or_default().to_owned())
    }

    fn blobs(&self) -> usize {
        fs::read_dir(self.store.tree().blobs()).expect("there").count()
    }
}

#[test]
fn everything_uploaded_is_in_unstable_and_nowhere_else() {
    let world = world();
    let built = world.build("1.0");
    assert!(world.upload(&built).expect_err("no key").to_string().contains("acme-"));
    world.key();
    let record = world.upload(&built).expect("taken");
    assert_eq!((record.ident(), record.config.as_str()), (Some(built.ident.clone()), "a = 1\n"));
    assert_eq!(world.latest(UNSTABLE).as_deref(), Some("1.0"));
    assert_eq!(world.latest(STABLE), None);
    let error = world.upload(&built).expect_err("again");
    assert!(matches!(&error, Error::Conflict(why) if why.contains("same content")), "{error}");
    let other = world.upload_as(&built.ident, b"other", None).expect_err("other content");
    assert!(other.to_string().contains("never replaced"), "{other}");
}

#[test]
fn what_is_not_what_it_says_leaves_nothing() {
    let world = world();
    let (built, other) = (world.build("1.0"), world.build("2.0"));
    world.key();
    let whole = fs::read(&built.path).expect("read");
    let mut changed = whole.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    for (ident, bytes, said, why) in [
        (&built.ident, &whole[..whole.len() - 7], Some(crypto::hash(&whole)), "send it again"),
        (&built.ident, &whole[..whole.len() - 7], None, "damaged"),
        (&built.ident, &changed[..], None, "damaged"),
        (&other.ident, &whole[..], None, "what is inside is acme/shop/1.0"),
        (&built.ident, &b"HART-1\nacme-20260101000000\nBLAKE2b\nAAAA\n\n"[..], None, "signature"),
        (&built.ident, &b"not a package"[..], None, "HART-1"),
        (
            &"evil/shop/1.0/20260101000000".parse().expect("an ident"),
            &whole[..],
            None,
            "not a key of origin evil",
        ),
    ] {
        let error = world.upload_as(ident, bytes, said).expect_err(why).to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert_eq!(world.blobs(), 0);
    assert_eq!(
        fs::read_dir(world.store.tree().incoming()).expect("there").count(),
        0,
        "nothing is left over"
    );
    assert_eq!(world.latest(UNSTABLE), None);
}

#[test]
fn a_channel_is_signed_by_a_key_that_the_origin_named() {
    let world = world();
    let (old, new) = (world.build("1.0"), world.build("1.1"));
    world.key();
    world.upload(&old).expect("taken");
    world.upload(&new).expect("taken");
    let error = world.promote(&old.ident, STABLE).expect_err("no channel key counts");
    assert!(
        matches!(&error, Error::Forbidden(why) if why.contains("annulus origin certify acme")),
        "{error}"
    );
    assert_eq!(world.certify(1).expect("taken"), 1);
    assert!(matches!(world.certify(1), Err(Error::Conflict(_))), "the number is used");
    assert_eq!(world.promote(&old.ident, STABLE).expect("promoted"), Moved::Yes(1));
    assert_eq!(world.promote(&old.ident, STABLE).expect("nothing to do"), Moved::No);
    assert_eq!(world.promote(&new.ident, STABLE).expect("promoted"), Moved::Yes(2));
    assert_eq!(world.latest(STABLE).as_deref(), Some("1.1"));
    let demoted = world.store.demote(&new.ident, &host_target(), STABLE, NOW, &by()).expect("demoted");
    assert_eq!(
        (demoted, world.latest(STABLE).as_deref()),
        (Moved::Yes(3), Some("1.0")),
        "back, with a new number"
    );
    let (text, number) = world.store.head("acme", STABLE, &host_target()).expect("read").expect("a head");
    let head = Head::parse(&text).expect("a head");
    let key = world.store.channel_key("acme", NOW).expect("the same key").file().expect("a key");
    let public = crypto::PublicKey::from_bytes(key.bytes()).expect("a key");
    assert!(number == 3 && head.is_signed_by(&public));
}

#[test]
fn what_channels_never_do() {
    let world = world();
    let built = world.build("1.0");
    world.key();
    world.upload(&built).expect("taken");
    world.certify(1).expect("taken");
    let never = "acme/shop/9.9/20260101000000".parse().expect("an ident");
    assert!(matches!(world.promote(&never, STABLE), Err(Error::NotFound(_))), "it was never uploaded");
    let foreign =
        world.store.promote(&built.ident, "pdp11-unix", STABLE, NOW, &by()).expect_err("another platform");
    assert!(foreign.to_string().contains("it is here for"), "{foreign}");
    let target = host_target();
    let unstable = world.store.demote(&built.ident, &target, UNSTABLE, NOW, &by());
    assert!(matches!(unstable, Err(Error::Forbidden(_))));
    assert!(matches!(world.store.demote(&built.ident, &target, "none", NOW, &by()), Err(Error::NotFound(_))));
    assert!(matches!(world.store.demote(&built.ident, &target, STABLE, NOW, &by()), Err(Error::NotFound(_))));
    for always in [STABLE, UNSTABLE] {
        assert!(matches!(world.store.remove_channel("acme", always, NOW, &by()), Err(Error::Forbidden(_))));
        assert!(matches!(world.store.make_channel("acme", always, NOW, &by()), Err(Error::Conflict(_))));
    }
    assert!(matches!(world.promote(&built.ident, "../x"), Err(Error::Channel { .. })));
}

#[test]
fn a_removed_channel_goes_on_counting() {
    let world = world();
    let built = world.build("1.0");
    world.key();
    world.upload(&built).expect("taken");
    world.certify(1).expect("taken");
    world.store.make_channel("acme", "dev", NOW, &by()).expect("made");
    assert_eq!(world.promote(&built.ident, "dev").expect("promoted"), Moved::Yes(1));
    world.store.remove_channel("acme", "dev", NOW, &by()).expect("removed");
    assert_eq!(world.store.channels("acme").expect("read"), [STABLE, UNSTABLE]);
    assert_eq!(world.latest("dev"), None);
    world.store.make_channel("acme", "dev", NOW, &by()).expect("made again");
    assert_eq!(world.promote(&built.ident, "dev").expect("promoted"), Moved::Yes(4));
    assert_eq!(world.store.move_all("acme", ("dev", "qa"), true, NOW, &by()).expect("moved").0, 1);
    assert_eq!(world.latest("qa").as_deref(), Some("1.0"));
    assert_eq!(world.store.move_all("acme", ("dev", "qa"), false, NOW, &by()).expect("moved").0, 1);
    assert_eq!(world.latest("qa"), None);
}

#[test]
fn the_records_are_made_again_from_the_files() {
    let world = world();
    let (one, two) = (world.build("1.0"), world.build("2.0"));
    world.key();
    world.upload(&one).expect("taken");
    let record = world.upload(&two).expect("taken");
    world.certify(1).expect("taken");
    world.promote(&two.ident, STABLE).expect("promoted");
    fs::remove_dir_all(world.store.tree().pkgs()).expect("lost");
    let again = Store::open(world.store.tree().clone()).expect("opened");
    assert_eq!(again.list(None, &["acme"]).expect("read"), []);
    assert_eq!(again.reindex(NOW).expect("done"), Report { packages: 2, found: 2, ..Report::default() });
    assert_eq!(again.record(&two.ident, &host_target()).expect("there").hash(), record.hash());
    assert_eq!(world.latest(STABLE).as_deref(), Some("2.0"), "another process sees it");
    let blob = world.store.tree().blob(&record.hash().expect("a hash"));
    fs::write(&blob, "damaged").expect("written");
    fs::create_dir(world.store.tree().blobs().join("lost+found")).expect("made");
    let leftover = world.store.tree().keys().dir().join(".new-x");
    fs::write(&leftover, "half").expect("written");
    let report = again.reindex(NOW).expect("done");
    assert!(report.foreign.len() == 1 && !leftover.exists(), "{report:?}");
    assert_eq!((report.packages, report.damaged.len(), report.missing.len()), (1, 1, 1), "{report:?}");
    assert!(blob.exists(), "nothing is removed");
}

#[test]
fn a_package_that_is_needed_or_promoted_is_not_deleted() {
    let world = world();
    let lib = world.bench.build(&[("plan.toml", &PLAN.replace("shop", "lib"))]);
    world.bench.install(&lib.path).expect("installed");
    let shop = world.bench.build(&[("plan.toml", &format!("{PLAN}deps = [\"acme/lib\"]\n"))]);
    world.key();
    world.upload(&lib).expect("taken");
    world.upload(&shop).expect("taken");
    let delete = |ident: &PackageIdent| world.store.delete(ident, &host_target(), NOW, &by());
    let error = delete(&lib.ident).expect_err("shop needs it").to_string();
    assert!(error.contains("acme/shop") && error.contains("needs acme/lib"), "{error}");
    world.certify(1).expect("taken");
    world.promote(&shop.ident, STABLE).expect("promoted");
    assert!(delete(&shop.ident).expect_err("promoted").to_string().contains("demote"));
    world.store.demote(&shop.ident, &host_target(), STABLE, NOW, &by()).expect("demoted");
    delete(&shop.ident).expect("deleted");
    delete(&lib.ident).expect("deleted");
    assert_eq!(world.blobs(), 0);
    assert!(matches!(delete(&lib.ident), Err(Error::NotFound(_))));
}

#[test]
fn a_head_that_grows_old_is_signed_again() {
    let world = world();
    let built = world.build("1.0");
    world.key();
    world.upload(&built).expect("taken");
    world.certify(1).expect("taken");
    world.promote(&built.ident, STABLE).expect("promoted");
    assert_eq!(world.store.refresh_heads(NOW).expect("looked"), 0);
    let later = UnixTime::from_millis(NOW.as_millis() + 20 * 86_400_000);
    assert_eq!(world.store.refresh_heads(later).expect("signed"), 1);
    assert_eq!(world.store.refresh_heads(later).expect("looked"), 0);
    assert_eq!(world.latest(STABLE).as_deref(), Some("1.0"));
}

#[test]
fn who_did_what_is_written_down() {
    let world = world();
    let built = world.build("1.0");
    world.key();
    world.upload(&built).expect("taken");
    world.certify(1).expect("taken");
    world.promote(&built.ident, STABLE).expect("promoted");
    let text = fs::read_to_string(world.store.tree().audit()).expect("there");
    let done: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["what"].to_string())
        .collect();
    assert_eq!(done, ["\"key\"", "\"upload\"", "\"list of keys\"", "\"promote\""]);
    assert!(text.contains("10.0.0.1:1"));
}

#[test]
fn a_token_lets_in_as_far_as_it_goes() {
    let world = world();
    let text = world.store.make_token("acme", Role::Upload, NOW, None).expect("made");
    let admit = |token: Option<&str>, origin: &str, role| world.store.admit(token, origin, role, NOW);
    assert!(admit(Some(&text), "acme", Role::Upload).is_ok());
    assert!(matches!(admit(None, "acme", Role::Upload), Err(Error::Unauthorized(_))));
    assert!(matches!(admit(Some("x"), "acme", Role::Upload), Err(Error::Unauthorized(_))));
    assert!(matches!(admit(Some(&text), "acme", Role::Promote), Err(Error::Forbidden(_))));
    assert!(matches!(admit(Some(&text), "core", Role::Upload), Err(Error::Forbidden(_))));
    let id = world.store.tokens().expect("read")[0].id.clone();
    world.store.revoke_token(&id, NOW).expect("revoked");
    assert!(matches!(admit(Some(&text), "acme", Role::Upload), Err(Error::Unauthorized(_))));
    assert!(matches!(world.store.revoke_token(&id, NOW), Err(Error::NotFound(_))));
}

#[test]
fn a_key_that_the_list_does_not_name_counts_no_more() {
    let world = world();
    let built = world.build("1.0");
    world.key();
    world.certify(1).expect("taken");
    let later = UnixTime::from_millis(NOW.as_millis() + 5_000);
    let (id, _) = world.keys().generate_origin("acme", later).expect("made");
    let text = world.keys().export("acme", KeyKind::SigPublic).expect("a key");
    let error =
        world.store.put_key("acme", id.revision(), &text, NOW, &by()).expect_err("not named").to_string();
    assert!(error.contains("does not name"), "{error}");
    let second = world.bench.build(&[("plan.toml", &PLAN.replace("1.2.0", "3.0"))]);
    assert_eq!(second.signer, id, "it signs with the newest key");
    assert!(matches!(world.upload(&second), Err(Error::Forbidden(_))));
    world.upload(&built).expect("the key that is named");
}

impl World {
    /// Makes another key of the origin, which signs from now on, and lets it count alone.
    fn rotate(&self, number: u64) -> Vec<String> {
        let (before, secret) = self.keys().origin_secret("acme").expect("read").expect("a key");
        let later = UnixTime::from_millis(NOW.as_millis() + number * 5_000);
        let (id, next) = self.keys().generate_origin("acme", later).expect("made");
        let old = ListedKey::new(&before, &secret.public());
        let new = ListedKey::new(&id, &next.public());
        let channel = vec![self.store.channel_key("acme", NOW).expect("a key")];
        let both = OriginList::sign(
            ("acme", number),
            vec![old, new.clone()],
            channel.clone(),
            (&before, &secret),
            NOW,
        );
        self.store.put_list("acme", &both, NOW, &by()).expect("taken");
        let alone = OriginList::sign(("acme", number + 1), vec![new], channel, (&id, &next), NOW);
        self.store.put_list("acme", &alone, NOW, &by()).expect("taken").1
    }
}

#[test]
fn what_a_removed_key_signed_is_held_back_and_can_be_demoted() {
    let world = world();
    let (one, two) = (world.build("1.0"), world.build("2.0"));
    world.key();
    world.upload(&one).expect("taken");
    let record = world.upload(&two).expect("taken");
    world.certify(1).expect("taken");
    world.promote(&one.ident, STABLE).expect("promoted");
    world.promote(&two.ident, STABLE).expect("promoted");
    let held_back = world.rotate(2);
    assert!(held_back.len() == 2 && held_back[0].contains("in the channel stable"), "{held_back:?}");
    let refused = world.promote(&one.ident, "qa").expect_err("its key counts no more").to_string();
    assert!(refused.contains("not among the keys that count"), "{refused}");
    let (moved, left_out) =
        world.store.move_all("acme", (STABLE, "qa"), true, NOW, &by()).expect("moved what it may");
    assert_eq!((moved, left_out.len()), (0, 2), "{left_out:?}");
    let report = world.store.reindex(NOW).expect("done");
    assert_eq!((report.packages, report.held_back.len(), report.damaged.len()), (2, 2, 0), "{report:?}");
    // Also what is missing altogether leaves the channel.
    fs::remove_file(world.store.tree().blob(&record.hash().expect("a hash"))).expect("lost");
    let report = world.store.reindex(NOW).expect("done");
    assert_eq!((report.packages, report.missing.len(), report.held_back.len()), (1, 1, 1), "{report:?}");
    for built in [&one, &two] {
        world.store.demote(&built.ident, &host_target(), STABLE, NOW, &by()).expect("demoted");
    }
    assert_eq!(world.latest(STABLE), None);
}

#[test]
fn who_reads_waits_for_none_who_changes() {
    let world = world();
    let built = world.build("1.0");
    world.key();
    world.upload(&built).expect("taken");
    let held = lock_file::open(&world.store.tree().lock()).expect("opened");
    held.lock().expect("locked");
    thread::scope(|scope| {
        let writing = scope.spawn(|| world.store.make_channel("acme", "dev", NOW, &by()));
        while !writing.is_finished() {
            let begun_ms = clock::boot_ms();
            assert_eq!(world.store.search("shop", false).expect("read").len(), 1);
            assert!(clock::boot_ms() - begun_ms < HOLD_MAX_MS / 2, "a reader waited");
        }
        let error = writing.join().expect("ended").expect_err("it is held by another process");
        assert!(matches!(error, Error::Busy { .. }), "{error}");
    });
    held.unlock().expect("let go");
    world.store.make_channel("acme", "dev", NOW, &by()).expect("made");
}

#[test]
fn a_copy_that_is_brought_up_to_date_shows_it() {
    let world = world();
    let (one, two) = (world.build("1.0"), world.build("2.0"));
    world.key();
    world.upload(&one).expect("taken");
    world.certify(1).expect("taken");
    world.promote(&one.ident, STABLE).expect("promoted");
    let tree = Tree::new(world.bench.path("mirror"));
    let copy = |from: &Path| {
        let status =
            std::process::Command::new("cp").args(["-a"]).arg(from.join(".")).arg(tree.dir()).status();
        assert!(status.expect("cp runs").success());
        fs::remove_dir_all(tree.dir().join("private")).expect("removed");
    };
    fs::create_dir(tree.dir()).expect("made");
    copy(world.store.tree().dir());
    let before = mirror::look(&tree).expect("read");
    assert_eq!(mirror::look(&tree).expect("read"), before, "nothing has come");
    world.upload(&two).expect("taken");
    world.promote(&two.ident, STABLE).expect("promoted");
    copy(world.store.tree().dir());
    assert_ne!(mirror::look(&tree).expect("read"), before);
    let served = Store::open(tree).expect("a mirror needs no private part");
    assert_eq!(served.heads("acme", STABLE, &host_target()).expect("read"), [two.ident]);
}
