//! The database: it returns what was stored, in order, and refuses what was damaged.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;

use proptest::prelude::*;

use super::*;

fn write(table: Table, key: &[u8], value: Option<&[u8]>) -> Write {
    Write { table, key: key.to_vec(), value: value.map(<[u8]>::to_vec) }
}

fn specs(dir: &Path) -> Arc<Specs> {
    Arc::new(Specs::open(dir.join("specs"), Vec::new()).expect("a directory"))
}

fn rows(dir: &Path) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    Store::open(dir).expect("opens").rows().expect("readable")
}

#[test]
fn rows_survive_and_deleted_ones_do_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("made");
    assert_eq!(store.load().expect("readable"), None, "a new database makes a new member");
    let writes = [
        write(Table::Member, b"b", Some(b"2")),
        write(Table::Member, b"a", Some(b"1")),
        write(Table::Rumor, b"", Some(b"")),
        write(Table::Service, b"gone", Some(b"x")),
    ];
    store.apply(&writes).expect("written");
    store
        .apply(&[write(Table::Service, b"gone", None), write(Table::Service, b"never", None)])
        .expect("written");
    drop(store);
    let expected = vec![
        (Table::Member, b"a".to_vec(), b"1".to_vec()),
        (Table::Member, b"b".to_vec(), b"2".to_vec()),
        (Table::Rumor, Vec::new(), Vec::new()),
    ];
    assert_eq!(rows(dir.path()), expected);
}

#[test]
fn a_row_that_is_stored_is_not_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("made");
    let path = dir.path().join(FILE_NAME);
    let seen = || (fs::metadata(&path).and_then(|meta| meta.modified()), fs::read(&path).expect("readable"));
    let version = [write(Table::Rumor, b"config", Some(b"port = 1")), write(Table::Service, b"gone", None)];
    store.apply(&version).expect("written");
    let (modified, bytes) = seen();
    let modified = modified.expect("a time");
    // File times are as coarse as the system's timer.
    std::thread::sleep(Duration::from_millis(30));
    store.apply(&version).expect("there already");
    let again = seen();
    assert_eq!(again.0.expect("a time"), modified);
    assert!(again.1 == bytes, "not a byte of the file is another one");
    let other = [version[0].clone(), write(Table::Rumor, b"config", Some(b"port = 2"))];
    store.apply(&other).expect("written");
    assert!(seen().0.expect("a time") > modified, "what differs is written");
    store.apply(&version).expect("written");
    drop(store);
    assert_eq!(rows(dir.path()), [(Table::Rumor, b"config".to_vec(), b"port = 1".to_vec())]);
}

#[test]
fn the_writer_answers_each_request_after_storing_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (done, mut results) = mpsc::channel(1_000);
    let writer = Store::open(dir.path())
        .expect("made")
        .into_writer(specs(dir.path()), Room::of(dir.path()), done)
        .expect("a thread");
    for i in 0..600_u64 {
        let key = i.to_be_bytes();
        // Each request overwrites one row and adds its own, so that the order shows.
        writer.persist(
            EffectId(i),
            vec![write(Table::Identity, b"last", Some(&key)), write(Table::Rumor, &key, Some(b"v"))],
        );
    }
    drop(writer);
    let mut answered = Vec::new();
    while let Ok((id, result)) = results.try_recv() {
        assert_eq!(result, EffectResult::Persisted);
        answered.push(id.0);
    }
    assert_eq!(answered, (0..600).collect::<Vec<_>>());
    let rows = rows(dir.path());
    assert_eq!(rows.len(), 601);
    assert_eq!(rows.first().map(|row| row.2.clone()), Some(599_u64.to_be_bytes().to_vec()));
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let _open = Store::open(dir.path()).expect("made");
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Busy(_))));
}

#[test]
fn a_process_that_ends_is_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let ending = Store::open(dir.path()).expect("made");
    let (tell, told) = queue::channel();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            tell.send(()).expect("heard");
            Store::open(dir.path())
        });
        told.recv().expect("it is about to open");
        drop(ending);
        next.join().expect("no panic").expect("opened once it is free");
    });
}

#[test]
fn what_is_not_ours_is_refused_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(FILE_NAME);
    for contents in [&b""[..], b"not a database", &[0; 8192]] {
        fs::write(&path, contents).expect("written");
        let error = Store::open(dir.path()).expect_err("refused");
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains("move it aside"), "{text}");
        assert_eq!(fs::read(&path).expect("still there"), contents);
    }
    fs::remove_file(&path).expect("removed");
    let other = Database::create(&path).expect("made");
    let transaction = other.begin_write().expect("begun");
    transaction
        .open_table(TableDefinition::<u64, u64>::new("theirs"))
        .expect("made")
        .insert(1, 2)
        .expect("put");
    transaction.commit().expect("committed");
    drop(other);
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Foreign { .. })));
}

#[test]
fn a_crash_while_making_the_database_leaves_none() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("annulus.new"), b"half").expect("written");
    assert!(rows(dir.path()).is_empty(), "made anew");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // A torn or altered file is either refused with words or still holds exactly what was stored.
    #[test]
    fn damage_is_found_or_harmless(at in 0.0..1.0_f64, bytes in prop::collection::vec(any::<u8>(), 1..64), cut: bool) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("made");
        let writes: Vec<_> = (0..50_u8).map(|i| write(Table::Rumor, &[i], Some(&[i; 100]))).collect();
        store.apply(&writes).expect("written");
        let before = store.rows().expect("readable");
        drop(store);
        let path = dir.path().join(FILE_NAME);
        let mut file = OpenOptions::new().read(true).write(true).open(&path).expect("opens");
        let len = file.metadata().expect("there").len();
        let at = (at * len as f64) as u64;
        if cut {
            file.set_len(at).expect("cut");
        } else {
            file.seek(SeekFrom::Start(at)).expect("there");
            file.write_all(&bytes).expect("altered");
        }
        let mut damaged = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut damaged)).expect("read");
        drop(file);
        match Store::open(dir.path()).and_then(|s| s.rows().map_err(|e| classify(&path, e))) {
            Ok(rows) => prop_assert_eq!(rows, before),
            Err(error) => prop_assert!(error.to_string().contains("annulus.redb"), "{}", error),
        }
    }
}

#[test]
fn the_file_has_all_its_blocks_from_its_beginning_and_after_it_grew() {
    let dir = tempfile::tempdir().expect("a directory");
    let is_whole = |path: &Path| {
        let found = fs::metadata(path).expect("it is there");
        found.blocks() * 512 >= found.len()
    };
    let probe = dir.path().join("probe");
    let file = File::create(&probe).expect("made");
    file.set_len(1 << 20).expect("grown");
    if fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1 << 20).is_err() || !is_whole(&probe) {
        println!("skipped: the file system of {} reserves no blocks", probe.display());
        return;
    }
    let store = Store::open(dir.path()).expect("made");
    let path = dir.path().join(FILE_NAME);
    assert!(is_whole(&path), "a new one");
    let before = fs::metadata(&path).expect("it is there").len();
    for number in 0..40_u8 {
        store.apply(&[write(Table::Member, &[number], Some(&[number; 60_000]))]).expect("stored");
    }
    assert!(fs::metadata(&path).expect("it is there").len() > before, "it grew");
    assert!(is_whole(&path), "one that grew");
}
