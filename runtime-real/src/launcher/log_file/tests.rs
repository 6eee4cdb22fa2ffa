//! Logs on a real file system: rotation, what other programs do to the files, and what stands in their place.

use std::fs;

use super::*;

const KEEP: Keep = Keep { size_bytes: 20, age_ms: 1_000, files: 2 };
const NOW: UnixTime = UnixTime::from_millis(1_000_000);

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

#[test]
fn a_full_log_moves_on_and_the_oldest_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), KEEP);
    for number in 0..8 {
        assert_eq!(log.append(format!("line {number}...\n").as_bytes(), NOW), []);
    }
    assert_eq!(read(dir.path(), "web.log"), "line 6...\nline 7...\n");
    assert_eq!(read(dir.path(), "web.log.1"), "line 4...\nline 5...\n");
    assert_eq!(read(dir.path(), "web.log.2"), "line 2...\nline 3...\n");
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 3);
}

#[test]
fn a_log_whose_first_line_is_old_is_put_aside_also_by_the_next_launcher() {
    let dir = tempfile::tempdir().expect("a directory");
    let keep = Keep { size_bytes: 1_000, ..KEEP };
    let line = |ms| format!("{} O x\n", stamp(UnixTime::from_millis(ms)));
    let append = |ms: u64| {
        let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), keep);
        assert_eq!(log.append(line(ms).as_bytes(), UnixTime::from_millis(ms)), []);
    };
    let object = |ms| format!("{START}{}\",\"level\":\"INFO\"}}\n", stamp(UnixTime::from_millis(ms)));
    fs::write(dir.path().join("web.log"), object(3_999)).expect("written");
    append(5_000);
    assert_eq!(read(dir.path(), "web.log.1"), object(3_999), "a supervisor's lines have their time too");
    append(6_000);
    assert_eq!(read(dir.path(), "web.log"), line(5_000) + &line(6_000));
    append(6_001);
    assert_eq!(read(dir.path(), "web.log"), line(6_001));
    assert_eq!(read(dir.path(), "web.log.1"), line(5_000) + &line(6_000));
}

#[test]
fn a_log_that_cannot_be_written_says_so_once_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = LogFile::new(dir.path().to_owned(), "web/logs/web.log".into(), KEEP);
    assert!(matches!(log.append(b"a\n", NOW)[..], [Notice::Failed(_)]), "the service has no directory");
    assert_eq!(log.append(b"b\nc\n", NOW), [], "once");
    fs::create_dir(dir.path().join("web")).expect("made");
    assert_eq!(log.append(b"d\n", NOW), [Notice::Recovered(3)]);
    assert_eq!(read(dir.path(), "web/logs/web.log"), "d\n");
}

#[test]
fn half_a_line_of_an_earlier_launcher_is_ended() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("web.log"), "hal").expect("written");
    let keep = Keep { size_bytes: 1_000, age_ms: u64::MAX, files: 1 };
    let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), keep);
    assert_eq!(log.append(b"whole\n", NOW), []);
    assert_eq!(read(dir.path(), "web.log"), "hal\nwhole\n");
}

#[test]
fn a_pipe_in_the_place_of_a_log_holds_nothing_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("web.log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut log =
        LogFile::new(dir.path().to_owned(), path.strip_prefix(dir.path()).expect("below").to_owned(), KEEP);
    assert!(matches!(log.append(b"a\n", NOW)[..], [Notice::Failed(_)]));
    fs::remove_file(&path).expect("removed");
    assert_eq!(log.append(b"b\n", NOW), [Notice::Recovered(1)]);
}

#[test]
fn a_link_in_the_place_of_a_log_is_not_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("web.log")).expect("made");
    let mut log = LogFile::new(dir.path().to_owned(), "web.log".into(), KEEP);
    assert!(matches!(log.append(b"a\n", NOW)[..], [Notice::Failed(_)]));
    assert!(!dir.path().join("elsewhere").exists());
}

/// A log of a service, and its directory.
struct Bed {
    dir: tempfile::TempDir,
    log: LogFile,
}

/// Puts something at a path.
type Make<'a> = &'a dyn Fn(&Path);

const MOVED: Notice = Notice::Moved("moved away or replaced");

impl Bed {
    fn new(keep: Keep) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("web/logs")).expect("made");
        let log = LogFile::new(dir.path().to_owned(), "web/logs/web.log".into(), keep);
        Self { dir, log }
    }

    fn roomy() -> Self {
        Self::new(Keep { size_bytes: 1_000, age_ms: u64::MAX, files: 2 })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("web/logs").join(name)
    }

    fn read(&self, name: &str) -> String {
        read(self.dir.path(), &format!("web/logs/{name}"))
    }

    /// Appends a line so many milliseconds after the beginning.
    fn line(&mut self, text: &str, ms: u64) -> Vec<Notice> {
        self.log.append(format!("{text}\n").as_bytes(), UnixTime::from_millis(NOW.as_millis() + ms))
    }
}

#[test]
fn a_removed_log_is_begun_anew_with_the_next_line() {
    let mut bed = Bed::roomy();
    assert_eq!(bed.line("a", 0), []);
    fs::remove_file(bed.path("web.log")).expect("removed");
    assert_eq!(bed.line("b", 1), [Notice::Moved("removed")]);
    assert_eq!(bed.line("c", 2), []);
    assert_eq!(bed.read("web.log"), "b\nc\n");
}

#[test]
fn a_renamed_log_is_begun_anew_within_a_second() {
    let mut bed = Bed::roomy();
    assert_eq!(bed.line("a", 0), []);
    fs::rename(bed.path("web.log"), bed.path("old.log")).expect("renamed");
    assert_eq!(bed.line("b", LOOK_MS - 1), [], "no line is lost meanwhile");
    assert_eq!(bed.line("c", LOOK_MS), [MOVED]);
    assert_eq!((bed.read("old.log"), bed.read("web.log")), ("a\nb\n".into(), "c\n".into()));
    // As logrotate does: renamed, and an empty file of its own making in the log's place.
    fs::rename(bed.path("web.log"), bed.path("web.log.1")).expect("renamed");
    fs::write(bed.path("web.log"), "").expect("written");
    assert_eq!(bed.line("d", LOOK_MS * 2 + MOVED_NOTICE_MS), [MOVED]);
    assert_eq!(bed.read("web.log"), "d\n");
}

#[test]
fn a_clock_that_was_set_back_delays_no_look() {
    let mut bed = Bed::roomy();
    assert_eq!(bed.line("a", 500_000), []);
    fs::rename(bed.path("web.log"), bed.path("old.log")).expect("renamed");
    assert_eq!(bed.line("b", 0), [MOVED]);
    assert_eq!(bed.read("web.log"), "b\n");
}

#[test]
fn a_log_that_is_removed_all_the_time_says_so_once_a_minute() {
    let mut bed = Bed::roomy();
    let mut told = 0;
    for turn in 0..1_200 {
        told += bed.line("x", turn * 100).len();
        fs::remove_file(bed.path("web.log")).expect("it was begun anew");
    }
    assert_eq!(told, 2, "in two minutes");
}

#[test]
fn a_log_directory_that_was_removed_or_renamed_is_made_again() {
    let mut bed = Bed::roomy();
    assert_eq!(bed.line("a", 0), []);
    fs::remove_dir_all(bed.path("")).expect("removed");
    assert_eq!(bed.line("b", 1), [Notice::Moved("removed")]);
    assert_eq!(bed.read("web.log"), "b\n");
    let logs = bed.path("");
    assert_eq!(fs::metadata(&logs).expect("made").mode() & 0o7777, DIR_MODE);
    fs::rename(&logs, bed.dir.path().join("web/elsewhere")).expect("renamed");
    assert_eq!(bed.line("c", MOVED_NOTICE_MS * 2), [MOVED]);
    assert_eq!(bed.read("web.log"), "c\n");
    // A service that is not there any more gets no directory.
    fs::remove_dir_all(bed.dir.path().join("web")).expect("removed");
    assert!(matches!(bed.line("d", MOVED_NOTICE_MS * 4)[..], [_, Notice::Failed(_)]));
    assert!(!bed.dir.path().join("web").exists());
}

#[test]
fn what_stands_in_the_place_of_a_log_is_named_and_never_written_to() {
    let mut bed = Bed::roomy();
    let other = bed.dir.path().join("other");
    let (mut at, mut lost) = (0, 0);
    let link = |path: &Path| std::os::unix::fs::symlink(&other, path).expect("made");
    let dangling = |path: &Path| std::os::unix::fs::symlink("nowhere", path).expect("made");
    let directory = |path: &Path| fs::create_dir(path).expect("made");
    let pipe = |path: &Path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let second_name = |path: &Path| fs::hard_link(&other, path).expect("made");
    fs::write(&other, "another's").expect("written");
    let in_the_way: [(Make<'_>, &str); 5] = [
        (&link, "a symbolic link"),
        (&dangling, "a symbolic link"),
        (&directory, "a directory"),
        (&pipe, "not a regular file"),
        (&second_name, "hard links"),
    ];
    for (make, word) in in_the_way {
        assert_eq!(bed.line("before", at), Vec::from_iter((lost > 0).then_some(Notice::Recovered(lost))));
        fs::rename(bed.path("web.log"), bed.path("old.log")).expect("renamed");
        make(&bed.path("web.log"));
        at += 2 * MOVED_NOTICE_MS;
        let told = bed.line("hidden", at);
        let [moved, Notice::Failed(reason)] = &told[..] else { panic!("{word}: {told:?}") };
        assert!(*moved == MOVED && reason.contains(word) && reason.ends_with("remove it"), "{reason}");
        assert_eq!(bed.line("hidden", at), [], "{word}: once");
        lost = 2;
        let path = bed.path("web.log");
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        removed.expect("removed");
    }
    assert_eq!(bed.line("after", at), [Notice::Recovered(2)]);
    assert_eq!(
        (bed.read("web.log"), fs::read_to_string(&other).expect("there")),
        ("after\n".into(), "another's".into())
    );
    assert!(!bed.path("nowhere").exists());
}

#[test]
fn a_log_that_another_program_emptied_counts_from_there() {
    let mut bed = Bed::new(Keep { age_ms: u64::MAX, ..KEEP });
    assert_eq!(bed.line("123456789", 0), []);
    fs::write(bed.path("web.log"), "").expect("emptied, as logrotate's copytruncate does");
    assert_eq!(bed.line("abcdefghi", 1), []);
    assert_eq!(bed.line("ABCDEFGHI", 2), []);
    assert_eq!(bed.read("web.log"), "abcdefghi\nABCDEFGHI\n", "both fit");
    assert!(!bed.path("web.log.1").exists());
}

#[test]
fn the_limit_holds_for_what_was_put_in_the_place_of_a_log() {
    let mut bed = Bed::new(Keep { age_ms: u64::MAX, ..KEEP });
    fs::write(bed.path("web.log"), "x".repeat(5_000)).expect("written");
    assert_eq!(bed.line("a", 0), [], "larger than the limit from the start");
    assert_eq!((bed.read("web.log"), bed.read("web.log.1").len()), ("a\n".into(), 5_000));
    fs::rename(bed.path("web.log"), bed.path("old.log")).expect("renamed");
    fs::write(bed.path("web.log"), "y".repeat(6_000)).expect("written");
    // It is looked at for its size, before the second is over, so that nothing but the log is put aside.
    assert_eq!(bed.line("a line of 20 bytes.", 1), [MOVED]);
    assert_eq!((bed.read("web.log.1").len(), bed.read("web.log.2").len()), (6_000, 5_000));
    assert_eq!((bed.read("web.log").len(), bed.read("old.log")), (20, "a\n".into()));
}

#[test]
fn many_rotations_and_removals_keep_the_newest_lines_and_the_limit() {
    let mut bed = Bed::new(Keep { age_ms: u64::MAX, ..KEEP });
    for number in 0..2_000 {
        let _ = bed.line(&format!("line {number:04}"), number * 10);
        if number % 7 == 0 {
            fs::remove_file(bed.path("web.log.1")).unwrap_or_default();
        }
        if number % 11 == 0 {
            fs::remove_file(bed.path("web.log")).expect("it is there");
        }
        for name in ["web.log", "web.log.1", "web.log.2"] {
            assert!(bed.read(name).len() <= 20, "{name}: {:?}", bed.read(name));
        }
    }
    assert!(bed.read("web.log").ends_with("line 1999\n"));
    assert!(fs::read_dir(bed.path("")).expect("readable").count() <= 3);
}

#[test]
fn a_log_that_cannot_be_put_aside_grows_to_what_all_its_files_may_take() {
    let mut bed = Bed::new(Keep { age_ms: u64::MAX, ..KEEP });
    fs::create_dir_all(bed.path("web.log.1/full")).expect("made");
    fs::write(bed.path("web.log.2"), "in the way").expect("written");
    let notices: Vec<Notice> = (0..8).flat_map(|turn| bed.line("123456789", turn)).collect();
    assert!(matches!(&notices[..], [Notice::Stuck(_), Notice::Failed(_)]), "each once: {notices:?}");
    assert_eq!(bed.read("web.log").len(), 60);
    fs::remove_dir_all(bed.path("web.log.1")).expect("removed");
    assert_eq!(bed.line("after", 9), [Notice::Recovered(2)]);
    assert_eq!((bed.read("web.log"), bed.read("web.log.1").len()), ("after\n".into(), 60));
}
