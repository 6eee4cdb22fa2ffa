//! Files below a directory whose owner works against the supervisor, with links, pipes, other names and races.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use nix::unistd::mkfifo;

use super::*;

/// Turns of the supervisor while an attacker exchanges a directory and a link, at least, …
const TURNS: usize = 300;
/// … and turns in which what is to be written is written.
const WRITTEN: usize = 30;
/// The content of the file that no attack may change.
const SECRET: &str = "a secret of root\n";

/// A directory of a service, and beside it one of another user.
struct Bed {
    _dir: tempfile::TempDir,
    svc: PathBuf,
    other: PathBuf,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let bed = Self { svc: dir.path().join("svc"), other: dir.path().join("other"), _dir: dir };
        fs::create_dir_all(bed.svc.join("config/a")).expect("made");
        fs::create_dir_all(bed.other.join("b")).expect("made");
        fs::write(bed.other.join("secret"), SECRET).expect("written");
        bed
    }

    fn held(&self) -> Dir {
        Dir::open(&self.svc).expect("it is there")
    }

    /// Nothing but the secret is in the other directory, and that is as it was.
    fn assert_untouched(&self) {
        assert_eq!(fs::read_to_string(self.other.join("secret")).expect("there"), SECRET);
        let mut names: Vec<_> =
            fs::read_dir(&self.other).expect("there").flatten().map(|e| e.file_name()).collect();
        names.sort();
        assert_eq!(names, ["b", "secret"]);
        assert_eq!(fs::read_dir(self.other.join("b")).expect("there").count(), 0);
    }
}

fn name(name: &str) -> &OsStr {
    OsStr::new(name)
}

fn write(dir: &Dir, file: &str, content: &str) -> io::Result<bool> {
    dir.write_if_changed(name(file), content.as_bytes(), 0o640, None)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

#[test]
fn a_file_is_written_once_with_the_mode_that_is_asked_for() {
    let bed = Bed::new();
    let dir = bed.held().dir("config/a").expect("held");
    assert!(write(&dir, "f", "one").expect("written"));
    assert!(!write(&dir, "f", "one").expect("unchanged"));
    let path = bed.svc.join("config/a/f");
    assert_eq!((fs::read_to_string(&path).expect("there").as_str(), mode(&path)), ("one", 0o640));
    assert!(!dir.write_if_changed(name("f"), b"one", 0o750, None).expect("only its mode"));
    assert_eq!(mode(&path), 0o750);
    dir.replace(name("f"), b"two", 0o600).expect("replaced");
    assert_eq!((fs::read_to_string(&path).expect("there").as_str(), mode(&path)), ("two", 0o600));
    assert_eq!(dir.files().expect("listed"), [Path::new("f")], "nothing unfinished is left");
}

#[test]
fn no_directory_is_reached_through_a_link_or_upwards() {
    let bed = Bed::new();
    let held = bed.held();
    symlink(&bed.other, bed.svc.join("config/link")).expect("made");
    symlink("../../other/b", bed.svc.join("config/a/b")).expect("made");
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    for path in ["config/link", "config/link/b", "config/a/b"] {
        assert!(held.dir(path).is_err(), "{path}");
        assert!(open_in_steps(&held.0, Path::new(path), flags).is_err(), "{path}, step by step");
    }
    for path in ["", "..", "config/../../other", "/", "config/a/../../../other"] {
        assert!(held.dir(path).is_err(), "{path:?}");
    }
    assert!(held.dir("config/./a").is_ok() && open_in_steps(&held.0, Path::new("config/a"), flags).is_ok());
    let config = held.dir("config").expect("held");
    assert!(config.ensure_dir(name("link"), 0o770, None).is_err(), "a link is no directory");
    assert!(config.ensure_dir(name("../other"), 0o770, None).is_err(), "a path is no name");
    for bad in ["", ".", "..", "a/b", "/etc"] {
        assert!(write(&config, bad, "x").is_err() && config.remove(name(bad)).is_err(), "{bad:?}");
    }
    bed.assert_untouched();
}

#[test]
fn links_pipes_and_other_names_are_replaced_and_never_written_to() {
    let bed = Bed::new();
    let dir = bed.held().dir("config").expect("held");
    let path = |name: &str| bed.svc.join("config").join(name);
    symlink(bed.other.join("secret"), path("link")).expect("made");
    fs::hard_link(bed.other.join("secret"), path("name")).expect("made");
    mkfifo(&path("pipe"), Mode::S_IRWXU).expect("made");
    for file in ["link", "name", "pipe"] {
        assert!(dir.append(name(file), 0o640).is_err() || file == "pipe", "{file}");
        assert!(write(&dir, file, "new").expect(file), "{file}");
        let meta = fs::symlink_metadata(path(file)).expect("there");
        assert!(meta.is_file() && meta.nlink() == 1, "{file}");
    }
    // The same content under a second name of another's file: that file must not change its owner or its mode.
    fs::hard_link(bed.other.join("secret"), path("same")).expect("made");
    let before = fs::metadata(bed.other.join("secret")).expect("there");
    assert!(!dir.write_if_changed(name("same"), SECRET.as_bytes(), 0o666, None).expect("written"));
    let after = fs::metadata(bed.other.join("secret")).expect("there");
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    assert_ne!(after.ino(), fs::metadata(path("same")).expect("there").ino());
    fs::create_dir(path("dir")).expect("made");
    assert!(write(&dir, "dir", "x").is_err(), "a directory is not replaced");
    assert!(!dir.files().expect("listed").iter().any(|file| file.to_string_lossy().starts_with(UNFINISHED)));
    bed.assert_untouched();
}

#[test]
fn a_log_is_a_regular_file_with_one_name() {
    let bed = Bed::new();
    let dir = bed.held();
    dir.append(name("log"), 0o640).expect("made").write_all(b"line\n").expect("written");
    assert_eq!(mode(&bed.svc.join("log")), 0o640);
    dir.rename(name("log"), name("log.1")).expect("put aside");
    assert_eq!(fs::read_to_string(bed.svc.join("log.1")).expect("there"), "line\n");
    symlink(bed.other.join("secret"), bed.svc.join("log")).expect("made");
    assert!(dir.append(name("log"), 0o640).is_err());
    fs::remove_file(bed.svc.join("log")).expect("removed");
    fs::hard_link(bed.other.join("secret"), bed.svc.join("log")).expect("made");
    let error = dir.append(name("log"), 0o640).expect_err("refused").to_string();
    assert!(error.contains("hard links"), "{error}");
    bed.assert_untouched();
}

/// Does `work`, which says whether it wrote, while `attack` runs again and again in another thread.
fn race(attack: impl Fn() + Send + 'static, work: impl Fn(usize) -> bool) {
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let attacker = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            attack();
        }
    });
    let mut written = 0;
    for turn in 0.. {
        if work(turn) {
            written += 1;
        } else {
            std::thread::yield_now();
        }
        if turn >= TURNS && written >= WRITTEN {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    attacker.join().expect("no panic");
}

#[test]
fn an_exchange_of_directory_and_link_at_any_moment_leads_nowhere() {
    let bed = Bed::new();
    let held = bed.held();
    let (a, other) = (bed.svc.join("config/a"), bed.other.clone());
    let aside = bed.svc.join("config/aside");
    let exchange = move || {
        let _ = fs::rename(&a, &aside);
        let _ = symlink(&other, &a);
        let _ = fs::remove_file(&a);
        let _ = fs::rename(&aside, &a);
    };
    race(exchange, |turn| {
        let config = held.dir("config").expect("nothing exchanges this one");
        let done = config.ensure_dir(name("a"), 0o770, None).and_then(|a| {
            let b = a.ensure_dir(name("b"), 0o770, None)?;
            b.write_if_changed(name("f"), turn.to_string().as_bytes(), 0o640, None)
        });
        done.is_ok()
    });
    bed.assert_untouched();
}

#[test]
fn an_exchange_of_file_and_link_at_any_moment_gives_nothing_away() {
    let bed = Bed::new();
    let dir = bed.held().dir("config").expect("held");
    let (file, secret) = (bed.svc.join("config/f"), bed.other.join("secret"));
    let before = fs::metadata(&secret).expect("there").mode();
    let target = secret.clone();
    let exchange = move || {
        let _ = fs::remove_file(&file);
        let _ = symlink(&target, &file);
        let _ = fs::remove_file(&file);
        let _ = fs::hard_link(&target, &file);
    };
    race(exchange, |turn| {
        // Every second time with the content that the other file has.
        let content = if turn % 2 == 0 { SECRET } else { "mine" };
        dir.write_if_changed(name("f"), content.as_bytes(), 0o666, None).is_ok()
    });
    assert_eq!(fs::metadata(&secret).expect("there").mode(), before);
    bed.assert_untouched();
}
