//! Package files that are hostile or damaged, and are refused without harm.

use std::io::{Read as _, Write as _};

use liblzma::write::XzEncoder;
use proptest::prelude::*;
use tar::{EntryType, Header as TarHeader};

use super::*;
use crate::keys::{KeyCache, KeyFile, KeyId, KeyKind, crypto};

const TOP: &str = "hab/pkgs/acme/shop/1.2.0/20260101000000";
const IDENT: &str = "acme/shop/1.2.0/20260101000000\n";

/// An entry as no builder would write it.
struct Entry {
    path: String,
    kind: EntryType,
    link: String,
    mode: u32,
    content: Vec<u8>,
}

fn file(path: &str, content: &[u8]) -> Entry {
    let path = path.replace("TOP", TOP);
    Entry { path, kind: EntryType::Regular, link: String::new(), mode: 0o644, content: content.to_vec() }
}

fn link(kind: EntryType, path: &str, target: &str) -> Entry {
    Entry { kind, link: target.replace("TOP", TOP), ..file(path, b"") }
}

fn dir(path: &str) -> Entry {
    Entry { kind: EntryType::Directory, ..file(path, b"") }
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = TarHeader::new_gnu();
        // Written as bytes, since the setters refuse what these tests are about.
        let old = header.as_old_mut();
        old.name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        old.linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_size(entry.content.len() as u64);
        header.set_cksum();
        tar.append(&header, entry.content.as_slice()).expect("in memory");
    }
    tar.into_inner().expect("in memory")
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut xz = XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).expect("in memory");
    xz.finish().expect("in memory")
}

/// A file with this payload, properly signed by `origin`.
fn sign(bench: &Bench, origin: &str, payload: &[u8]) -> PathBuf {
    let keys = KeyCache::new(bench.root.keys());
    let (id, key, _) = keys.origin_secret_or_new(origin, NOW).expect("a key");
    let mut bytes = Header::sign(&crypto::hash(payload), &id, &key).to_text().into_bytes();
    bytes.extend_from_slice(payload);
    let path = bench.path("forged.hart");
    fs::write(&path, bytes).expect("written");
    path
}

fn forge(bench: &Bench, entries: &[Entry]) -> PathBuf {
    sign(bench, "acme", &compress(&archive(entries)))
}

#[test]
fn what_leads_out_of_the_package_is_refused() {
    let ident = || file("TOP/IDENT", IDENT.as_bytes());
    let cases: Vec<(Vec<Entry>, &str)> = vec![
        (vec![ident(), file("TOP/../../../../../../evil", b"x")], "leads out"),
        (vec![ident(), file("../evil", b"x")], "leads out"),
        (vec![ident(), file("/etc/evil", b"x")], "absolute"),
        (vec![ident(), file("hab/sup/default/evil", b"x")], "not below"),
        (vec![ident(), file("evil", b"x")], "not below"),
        (vec![ident(), file("hab/pkgs/acme/evil", b"x")], "not below"),
        (vec![ident(), file("hab/pkgs/acme/other/1.0/20260101000000/x", b"x")], "another package"),
        (vec![ident(), file("TOP", b"x")], "not below"),
        (vec![ident(), link(EntryType::Symlink, "TOP/l", "/etc/passwd")], "leads out"),
        (vec![ident(), link(EntryType::Symlink, "TOP/l", "../other")], "leads out"),
        (vec![ident(), link(EntryType::Symlink, "TOP/a/l", "../../other")], "leads out"),
        (vec![ident(), link(EntryType::Symlink, "TOP/a/l", "b/../../../x")], "leads out"),
        (vec![ident(), link(EntryType::Symlink, "TOP/l", "")], "link without a target"),
        (vec![ident(), link(EntryType::Symlink, "TOP/l", "/TOP/../x")], "leads out"),
        (vec![ident(), link(EntryType::Symlink, "TOP/l", "/TOP-evil/x")], "leads out"),
        (vec![ident(), link(EntryType::Symlink, "TOP/d", "share"), file("TOP/d/x", b"x")], "earlier entry"),
        (vec![ident(), link(EntryType::Symlink, "TOP/x", "y"), file("TOP/x", b"x")], "exists"),
        (vec![ident(), link(EntryType::Link, "TOP/l", "/etc/passwd")], "leads out"),
        (vec![ident(), link(EntryType::Link, "TOP/l", "TOP/../x")], "leads out"),
        (
            vec![ident(), link(EntryType::Link, "TOP/l", "hab/pkgs/acme/other/1.0/20260101000000/x")],
            "leads out",
        ),
        (vec![ident(), link(EntryType::Link, "TOP/l", "TOP/missing")], "no file"),
        (
            vec![
                ident(),
                link(EntryType::Symlink, "TOP/s", "IDENT"),
                link(EntryType::Link, "TOP/l", "TOP/s"),
            ],
            "no file",
        ),
        (vec![ident(), Entry { kind: EntryType::Fifo, ..file("TOP/f", b"") }], "do not hold"),
        (vec![ident(), Entry { kind: EntryType::Char, ..file("TOP/f", b"") }], "do not hold"),
        (vec![ident(), Entry { kind: EntryType::Block, ..file("TOP/f", b"") }], "do not hold"),
        (vec![ident(), Entry { mode: 0o4755, ..file("TOP/sh", b"x") }], "set-user-id"),
        (vec![ident(), Entry { mode: 0o2755, ..file("TOP/sh", b"x") }], "set-user-id"),
        (vec![ident(), ident()], "exists"),
        (vec![ident(), dir("TOP/IDENT/x")], "earlier entry"),
        (vec![dir("TOP/")], "IDENT"),
        (vec![file("TOP/IDENT", b"acme/shop/9.9.9/20260101000000\n")], "IDENT"),
        (vec![ident(), file("TOP/TARGET", b"pdp11-unix\n")], "pdp11-unix"),
        (vec![], "holds no package"),
        (vec![dir("hab/"), dir("hab/pkgs/")], "holds no package"),
    ];
    for (entries, expected) in cases {
        let bench = Bench::new();
        let shown: Vec<String> = entries.iter().map(|e| format!("{} -> {}", e.path, e.link)).collect();
        let forged = forge(&bench, &entries);
        let error = bench.install(&forged).expect_err(&format!("{shown:?} was installed")).to_string();
        assert!(error.contains(expected), "{shown:?}: {error}");
        assert!(error.contains("forged.hart"), "{error}");
        assert!(bench.is_empty(), "{shown:?} left something behind");
        assert!(!bench.path("evil").exists() && !bench.path("root/evil").exists());
    }
}

#[test]
fn links_inside_the_package_are_fine() {
    let bench = Bench::new();
    let forged = forge(
        &bench,
        &[
            dir("hab/"),
            dir("./TOP/"),
            file("TOP/IDENT", IDENT.as_bytes()),
            file("TOP/lib/a", b"a"),
            link(EntryType::Symlink, "TOP/lib/b", "a"),
            link(EntryType::Symlink, "TOP/bin/c", "../lib/a"),
            link(EntryType::Link, "TOP/bin/d", "TOP/lib/a"),
            // The place where the package believes itself to be, which is not below this root.
            link(EntryType::Symlink, "TOP/bin/deep/e", "/TOP/lib/a"),
            link(EntryType::Symlink, "TOP/f", "/TOP/lib/a"),
        ],
    );
    let done = bench.install(&forged).expect("installed");
    for name in ["lib/a", "lib/b", "bin/c", "bin/d", "bin/deep/e", "f"] {
        assert_eq!(fs::read(done.path.join(name)).expect(name), b"a");
    }
}

#[test]
fn bombs_go_off_nowhere() {
    let bench = Bench::new();
    let limits = Limits { entries_max: 20, bytes_max: 100_000 };
    let many: Vec<Entry> = (0..30).map(|n| file(&format!("TOP/{n}"), b"")).collect();
    let large = vec![file("TOP/large", &vec![0; 200_000])];
    let in_pieces: Vec<Entry> = (0..15).map(|n| file(&format!("TOP/{n}"), &vec![0; 10_000])).collect();
    // A long name is kept in memory while it is read, so it may not be as long as a file may.
    let long_name = vec![Entry { kind: EntryType::GNULongName, ..file("TOP/x", &vec![b'a'; 8 << 20]) }];
    // Headers of nothing: an endless run of extensions.
    let padding =
        vec![file("TOP/IDENT", IDENT.as_bytes()), Entry { content: vec![0; 8 << 20], ..dir("TOP/d") }];
    for (entries, expected) in [
        (many, "more than 20 files"),
        (large, "more than 100000 bytes"),
        (in_pieces, "more than 100000 bytes"),
        (long_name, "larger than any package needs"),
        (padding, "larger than any package needs"),
    ] {
        let forged = forge(&bench, &entries);
        let error = install_file(&bench.root, &forged, limits).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert!(bench.is_empty());
        let mut hart = Hart::open(&forged).expect("a header");
        assert!(inspect(&mut hart, limits).expect_err("refused").to_string().contains(expected));
    }
    // After the archive's end as well.
    let mut trailing = archive(&[file("TOP/IDENT", IDENT.as_bytes())]);
    trailing.resize(trailing.len() + (8 << 20), 0);
    let forged = sign(&bench, "acme", &compress(&trailing));
    assert!(install_file(&bench.root, &forged, limits).is_err());
    assert!(bench.is_empty());
}

#[test]
fn what_was_not_signed_is_refused() {
    let bench = Bench::new();
    let built = bench.build(&[("plan.toml", PLAN), ("hooks/run", "#!/bin/sh\n")]);
    let good = fs::read(&built.path).expect("the package");
    let text_end = good.windows(2).position(|two| two == b"\n\n").expect("a header") + 2;
    let attempt = |bytes: &[u8]| {
        let path = bench.path("bad.hart");
        fs::write(&path, bytes).expect("written");
        let error = bench.install(&path).expect_err("refused");
        assert!(error.to_string().contains("bad.hart") || error.to_string().contains("key"), "{error}");
        assert!(list(&bench.root).expect("readable").is_empty());
        error
    };
    let mut changed = good.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert!(matches!(attempt(&changed), Error::Hash { .. }));
    for len in [0, 5, 40, text_end - 1] {
        assert!(matches!(attempt(&good[..len]), Error::NotAPackage { .. }), "cut to {len} bytes");
    }
    for len in [text_end, text_end + 1, good.len() / 2, good.len() - 1] {
        assert!(matches!(attempt(&good[..len]), Error::Hash { .. }), "cut to {len} bytes");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(matches!(attempt(&longer), Error::Hash { .. }));

    let header = String::from_utf8(good[..text_end].to_vec()).expect("text");
    let with = |header: &str| [header.as_bytes(), &good[text_end..]].concat();
    assert!(matches!(attempt(&with(&header.replace("HART-1", "HART-2"))), Error::NotAPackage { .. }));
    assert!(matches!(attempt(&with(&header.replace("BLAKE2b", "SHA256"))), Error::NotAPackage { .. }));
    assert!(matches!(attempt(&with(&header.replace("acme-", "../acme-"))), Error::NotAPackage { .. }));
    let signature = header.lines().nth(3).expect("a signature").to_owned();
    let mut bytes = crypto::base64_decode(&signature).expect("base64");
    for at in [0, 63, 64, 127] {
        bytes[at] ^= 1;
        let wrong = header.replace(&signature, &crypto::base64_encode(&bytes));
        assert!(matches!(attempt(&with(&wrong)), Error::Signature { .. }), "byte {at}");
        bytes[at] ^= 1;
    }
    bench.install(&built.path).expect("the untouched file still installs");
}

#[test]
fn a_signature_counts_only_for_its_origin() {
    let bench = Bench::new();
    let payload = compress(&archive(&[file("TOP/IDENT", IDENT.as_bytes())]));
    let forged = sign(&bench, "mallory", &payload);
    let error = bench.install(&forged).expect_err("refused").to_string();
    assert!(error.contains("mallory") && error.contains("acme"), "{error}");
    assert!(bench.is_empty());
}

#[test]
fn a_foreign_key_has_to_be_brought() {
    let (here, there) = (Bench::new(), Bench::new());
    let built = there.build(&[("plan.toml", PLAN)]);
    let error = here.install(&built.path).expect_err("no key").to_string();
    assert!(error.contains("acme-20260101000000.pub"), "{error}");
    assert!(error.contains(&here.root.keys().display().to_string()), "it says where to: {error}");

    // A key of the same name and revision that is not the signer's.
    let keys = KeyCache::new(here.root.keys());
    let id: KeyId = "acme-20260101000000".parse().expect("an id");
    let other = crypto::generate_secret_key().public();
    let path = keys.store(&KeyFile::new(KeyKind::SigPublic, id, other.as_bytes())).expect("stored");
    assert!(matches!(here.install(&built.path), Err(Error::Signature { .. })));

    fs::remove_file(path).expect("removed");
    fs::copy(
        there.root.keys().join("acme-20260101000000.pub"),
        here.root.keys().join("acme-20260101000000.pub"),
    )
    .expect("copied");
    here.install(&built.path).expect("installed");
}

#[test]
fn a_payload_that_is_no_archive_is_refused() {
    let bench = Bench::new();
    let mut cut = compress(&archive(&[file("TOP/IDENT", IDENT.as_bytes()), file("TOP/x", &[7; 5000])]));
    cut.truncate(cut.len() / 2);
    for payload in [b"".to_vec(), b"not xz".to_vec(), compress(b"not tar"), cut] {
        let forged = sign(&bench, "acme", &payload);
        assert!(matches!(bench.install(&forged), Err(Error::Archive { .. })));
        assert!(bench.is_empty());
    }
    // A file that ends within an entry, in an archive that is otherwise whole.
    let mut short = archive(&[file("TOP/IDENT", IDENT.as_bytes()), file("TOP/x", &[7; 5000])]);
    short.truncate(3000);
    let forged = sign(&bench, "acme", &compress(&short));
    let error = bench.install(&forged).expect_err("refused").to_string();
    assert!(error.contains("cut short"), "{error}");
    assert!(bench.is_empty());
}

#[test]
fn files_that_are_no_files() {
    let bench = Bench::new();
    assert!(matches!(bench.install(&bench.path("missing.hart")), Err(Error::Io { .. })));
    let dir = bench.path("dir.hart");
    fs::create_dir_all(&dir).expect("made");
    assert!(matches!(bench.install(&dir), Err(Error::NotAPackage { .. })));
}

#[test]
fn an_install_that_died_is_repeated() {
    let bench = Bench::new();
    let built = bench.build(&[("plan.toml", PLAN), ("hooks/run", "x")]);
    // The left-overs of an install that died while it unpacked…
    write(&bench.root.pkgs().join(".installing-abc/package/IDENT"), IDENT);
    // …and of one that died after it had made the directories above.
    fs::create_dir_all(bench.root.pkgs().join("acme/shop/1.2.0")).expect("made");
    let done = bench.install(&built.path).expect("installed");
    assert!(!done.already);
    let names: Vec<_> = fs::read_dir(bench.root.pkgs()).expect("a directory").flatten().collect();
    assert_eq!(names.len(), 1, "what the dead install left is gone");
    assert_eq!(fs::read_to_string(done.path.join("hooks/run")).expect("whole"), "x");
}

#[test]
fn installs_at_once_do_not_disturb_each_other() {
    let bench = Bench::new();
    let built = bench.build(&[("plan.toml", PLAN), ("hooks/run", "x")]);
    let already: Vec<bool> = std::thread::scope(|scope| {
        let installs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| bench.install(&built.path).expect("installed").already)).collect();
        installs.into_iter().map(|install| install.join().expect("no panic")).collect()
    });
    assert_eq!(already.iter().filter(|already| !**already).count(), 1);
}

#[test]
fn the_header_reader_takes_any_bytes() {
    let bench = Bench::new();
    let built = bench.build(&[("plan.toml", PLAN)]);
    let mut good = Vec::new();
    fs::File::open(&built.path).and_then(|mut f| f.read_to_end(&mut good)).expect("the package");
    let path = bench.path("any.hart");
    for at in 0..good.len().min(400) {
        let mut bytes = good.clone();
        bytes[at] = bytes[at].wrapping_add(1);
        fs::write(&path, &bytes).expect("written");
        assert!(bench.install(&path).is_err(), "byte {at} does not count");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_archive_writes_outside_or_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let bench = Bench::new();
        let mut bytes = archive(&[
            file("TOP/IDENT", IDENT.as_bytes()),
            file("TOP/lib/a", b"a"),
            link(EntryType::Symlink, "TOP/bin/c", "../lib/a"),
            link(EntryType::Link, "TOP/bin/d", "TOP/lib/a"),
            Entry { kind: EntryType::GNULongName, ..file("TOP/x", b"hab/pkgs/long") },
        ]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Checksums as they should be, so that more than the first header is looked at.
        for block in bytes.chunks_exact_mut(512) {
            if block[257..262] == *b"ustar" {
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let forged = sign(&bench, "acme", &compress(&bytes));
        let _ = bench.install(&forged);
        let mut left: Vec<_> = fs::read_dir(bench.path("")).expect("a directory").flatten().map(|e| e.file_name()).collect();
        left.sort();
        prop_assert_eq!(left, ["forged.hart", "root"]);
        let in_pkgs = fs::read_dir(bench.root.pkgs()).expect("a directory").flatten();
        prop_assert!(in_pkgs.into_iter().all(|e| !e.file_name().to_string_lossy().starts_with('.')));
    }

    #[test]
    fn no_bytes_make_the_header_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), is_hart in any::<bool>()) {
        let bench = Bench::new();
        let path = bench.path("any.hart");
        let start = if is_hart { &b"HART-1\nacme-20260101000000\nBLAKE2b\n"[..] } else { b"" };
        fs::write(&path, [start, &bytes].concat()).expect("written");
        prop_assert!(bench.install(&path).is_err());
    }
}
