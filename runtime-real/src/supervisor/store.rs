//! Durable state: one embedded database per supervisor, with one table for each table of the core except services,
//! whose rows are spec files (see [`crate::supervisor::specs`]). Never deletes or overwrites a database that it
//! cannot read.
//!
//! A thread of its own writes, in the order of the requests. All requests that have queued up go into one transaction,
//! so that a busy node pays for one flush and not for hundreds.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc as queue};
use std::thread::JoinHandle;
use std::time::Duration;

use annulus_core::{EffectId, EffectResult, Snapshot, SnapshotError, Table, Write};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    TableError, TableHandle as _,
};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::host::disk;
use crate::supervisor::room::Room;
use crate::supervisor::specs::{NotStored, Specs};

/// The database's file name below the supervisor's data directory.
pub const FILE_NAME: &str = "annulus.redb";
/// Memory for pages, which holds the whole state of a small ring.
const CACHE_BYTES: usize = 1024 * 1024;
/// A database that another process has open is tried so often …
const OPEN_TRIES: u32 = 100;
/// … with this pause between two tries.
const OPEN_RETRY: Duration = Duration::from_millis(20);
/// Requests in one transaction.
const GROUP_MAX: usize = 256;
/// Names the database's owner and the format of its rows.
const META: TableDefinition<'static, &str, &str> = TableDefinition::new("annulus");
const FORMAT_KEY: &str = "format";
const FORMAT: &str = "1";

/// Why the stored state cannot be used. Nothing is deleted or overwritten in any of these cases.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error(
        "state database {}: {source}; {}", .path.display(),
        disk::advice(.source, "it is a file that this user reads and writes: correct its owner, or move aside what is there")
    )]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process has the database open.
    #[error("state database {} is open in another process; stop that one first", .0.display())]
    Busy(PathBuf),
    /// The file is no database of annulus, or has a format that this version does not know.
    #[error(
        "state database {} was not written by this version of annulus ({reason}); \
         move it aside to start as a new member, or use the version that wrote it", .path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The sign by which it was recognised.
        reason: String,
    },
    /// Its contents are damaged.
    #[error(
        "state database {} is damaged ({reason}); restore it from a backup, \
         or move it aside to start as a new member", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason, in words.
        reason: String,
    },
}

/// Table, key and value.
type Row = (Table, Vec<u8>, Vec<u8>);

/// An open database.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    db: Database,
    /// The length up to which the file has been given its blocks.
    kept: Cell<u64>,
}

impl Store {
    /// Opens the database in `dir`, or makes one when there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        let io_error = |source| StoreError::Io { path: path.clone(), source };
        if !path.try_exists().map_err(io_error)? {
            create(dir, &path)?;
        }
        guarded(&path, || {
            let db = open_when_free(&path)?;
            check_format(&db, &path)?;
            Ok(Self::opened(path.clone(), db))
        })
    }

    fn opened(path: PathBuf, db: Database) -> Self {
        let store = Self { path, db, kept: Cell::new(0) };
        store.keep_room();
        store
    }

    /// Takes the disk's blocks for what the file has not written yet. The library writes into free pages before it makes
    /// the file grow: so an identity, a vote and a ban can still be stored on a disk that others have filled, and a
    /// supervisor that starts there takes over its services.
    fn keep_room(&self) {
        let Ok(file) = OpenOptions::new().write(true).open(&self.path) else { return };
        let Ok(length) = file.metadata().map(|found| found.len()) else { return };
        let Ok(wanted) = libc::off_t::try_from(length) else { return };
        if length > self.kept.get() {
            // A file system that cannot, or has no room: the write that needs it tells.
            let taken = fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, wanted);
            self.kept.set(if taken.is_ok() { length } else { self.kept.get() });
        }
    }

    /// Reads the state that a node starts from; none for a new member. Rows that it starts without are removed.
    ///
    /// # Errors
    /// A row cannot be read back.
    pub fn load(&self) -> Result<Option<Snapshot>, StoreError> {
        let mut read = self.read()?;
        let passed_over = read.as_mut().map(|read| std::mem::take(&mut read.passed_over)).unwrap_or_default();
        let (removed, reasons): (Vec<Write>, Vec<_>) = passed_over.into_iter().unzip();
        for reason in reasons {
            tracing::warn!(
                "state database {}: a record about a key of the ring cannot be read ({reason}) and is removed; the ring tells it \
                 again",
                self.path.display()
            );
        }
        self.forget(&removed)?;
        Ok(read)
    }

    fn read(&self) -> Result<Option<Snapshot>, StoreError> {
        guarded(&self.path, || {
            let rows = self.rows().map_err(|error| classify(&self.path, error))?;
            let rows = rows.iter().map(|(table, key, value)| (*table, key.as_slice(), value.as_slice()));
            Snapshot::decode(rows).map_err(|error: SnapshotError| self.damaged(&error))
        })
    }

    fn damaged(&self, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), reason: reason.to_string() }
    }

    fn rows(&self) -> Result<Vec<Row>, redb::Error> {
        let read = self.db.begin_read()?;
        let mut rows = Vec::new();
        for table in Table::ALL {
            let opened = match read.open_table(definition(table)) {
                Err(TableError::TableDoesNotExist(_)) => continue,
                opened => opened?,
            };
            for row in opened.iter()? {
                let (key, value) = row?;
                rows.push((table, key.value().to_vec(), value.value().to_vec()));
            }
        }
        Ok(rows)
    }

    /// Applies `writes` as one transaction that survives a power failure once this returns. Rows that are stored
    /// already are not written again; when all of them are, nothing is.
    ///
    /// # Errors
    /// The database's; nothing is stored then.
    pub fn apply<'a>(&self, writes: impl IntoIterator<Item = &'a Write>) -> Result<(), redb::Error> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let mut is_new = false;
        for write in writes {
            let mut table = transaction.open_table(definition(write.table))?;
            let key = write.key.as_slice();
            if table.get(key)?.as_ref().map(|stored| stored.value()) == write.value.as_deref() {
                continue;
            }
            is_new = true;
            match &write.value {
                Some(value) => table.insert(key, value.as_slice())?,
                None => table.remove(key)?,
            };
        }
        // Stored rows were brought to disk by the transaction that stored them.
        if is_new {
            transaction.commit()?;
            self.keep_room();
        } else {
            transaction.abort()?;
        }
        Ok(())
    }

    /// Deletes rows before the node starts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget(&self, rows: &[Write]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        guarded(&self.path, || self.apply(rows).map_err(|error| classify(&self.path, error)))
    }

    /// Starts the thread that writes: specs into their files, all other rows into the database. Results go to `done`, and
    /// `room` learns whether the disk takes them.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn into_writer(
        self,
        specs: Arc<Specs>,
        room: Room,
        done: mpsc::Sender<(EffectId, EffectResult)>,
    ) -> io::Result<Writer> {
        let (jobs, waiting) = queue::channel();
        let run = move || write_all(self, &specs, &room, &waiting, &done);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(run)?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }
}

fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

/// Makes a complete database under another name first, so that its own name never holds half of one.
fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    let unfinished = path.with_extension("new");
    let io_error = |source| StoreError::Io { path: path.to_owned(), source };
    fs::create_dir_all(dir).map_err(io_error)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    options.open(&unfinished).map_err(io_error)?;
    let make = || -> Result<(), redb::Error> {
        let db = Database::builder().set_cache_size(CACHE_BYTES).create(&unfinished)?;
        let transaction = db.begin_write()?;
        transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
        Ok(transaction.commit()?)
    };
    make().map_err(|error| classify(path, error))?;
    fs::rename(&unfinished, path).map_err(io_error)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error)
}

/// The system kills a supervisor whose launcher was killed. That may take a moment longer than the next launcher needs
/// to start the next supervisor.
fn open_when_free(path: &Path) -> Result<Database, StoreError> {
    for _ in 1..OPEN_TRIES {
        match open(path) {
            Err(StoreError::Busy(_)) => std::thread::sleep(OPEN_RETRY),
            result => return result,
        }
    }
    open(path)
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    // Reads every page once, so that a change by another program is found now and not in the middle of a run.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder.open(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::Busy(path.to_owned())
        }
        DatabaseError::UpgradeRequired(format) => {
            StoreError::Foreign { path: path.to_owned(), reason: format!("file format {format}") }
        }
        other => classify(path, other.into()),
    })
}

fn check_format(db: &Database, path: &Path) -> Result<(), StoreError> {
    let foreign = |reason: String| StoreError::Foreign { path: path.to_owned(), reason };
    let read = db.begin_read().map_err(|e| classify(path, e.into()))?;
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::Storage(error)) => return Err(classify(path, error.into())),
        Err(_) => return Err(foreign(format!("it has no table {}", META.name()))),
    };
    let format = meta.get(FORMAT_KEY).map_err(|e| classify(path, e.into()))?;
    match format.as_ref().map(redb::AccessGuard::value) {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(foreign(format!("its rows are in format {other}"))),
        None => Err(foreign("it does not name its format".to_owned())),
    }
}

fn classify(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(source)
            if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StoreError::Io { path: path.to_owned(), source }
        }
        other => StoreError::Damaged { path: path.to_owned(), reason: other.to_string() },
    }
}

/// The database library may panic on a file that another program has changed; that counts as damage.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StoreError::Damaged {
            path: path.to_owned(),
            reason: "its pages contradict each other".to_owned(),
        })
    })
}

struct Job {
    id: EffectId,
    writes: Vec<Write>,
}

/// The writing thread. Dropping it writes what is queued and waits until that is done.
#[derive(Debug)]
pub struct Writer {
    jobs: Option<queue::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("writes", &self.writes.len()).finish()
    }
}

impl Writer {
    /// Queues one transaction; `Persisted` or `PersistFailed` follows.
    ///
    /// Whether its records may be lost makes no difference here: such records are rare, and a transaction that is not
    /// flushed would make the database file grow.
    pub fn persist(&self, id: EffectId, writes: Vec<Write>) {
        if let Some(jobs) = &self.jobs {
            // The thread only ends when this sender is dropped.
            let _ = jobs.send(Job { id, writes });
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed already.
            let _ = thread.join();
        }
    }
}

fn write_all(
    store: Store,
    specs: &Specs,
    room: &Room,
    jobs: &queue::Receiver<Job>,
    done: &mpsc::Sender<(EffectId, EffectResult)>,
) {
    let path = store.path.clone();
    let mut store = Some(store);
    while let Ok(first) = jobs.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(GROUP_MAX - 1)).collect();
        let stored = write_group(&mut store, &path, &group);
        for job in &group {
            let stored = stored.clone().map_err(NotStored::Failed);
            let result = match stored.and_then(|()| write_specs(specs, &job.writes)) {
                Ok(()) => EffectResult::Persisted,
                Err(NotStored::Failed(reason)) => EffectResult::PersistFailed(reason),
                Err(NotStored::Refused(reason)) => EffectResult::PersistRefused(reason),
            };
            room.noted(&result);
            // The driver may have ended; the records are stored in any case.
            let _ = done.blocking_send((job.id, result));
        }
    }
}

/// Each spec has its own file, so a spec that cannot be written fails no other command.
fn write_specs(specs: &Specs, writes: &[Write]) -> Result<(), NotStored> {
    for write in writes {
        if let Some(row) = write.service() {
            let (service, spec) = row.map_err(|error| NotStored::Failed(error.to_string()))?;
            specs.persist(&service, spec.as_ref())?;
        }
    }
    Ok(())
}

/// After an I/O error the library refuses every further transaction, until the file is opened again.
fn write_group(store: &mut Option<Store>, path: &Path, group: &[Job]) -> Result<(), String> {
    let mut writes =
        group.iter().flat_map(|job| &job.writes).filter(|w| w.table != Table::Service).peekable();
    if writes.peek().is_none() {
        return Ok(());
    }
    let open_store = match store.take() {
        Some(open_store) => open_store,
        None => guarded(path, || open(path).map(|db| Store::opened(path.to_owned(), db)))
            .map_err(|e| e.to_string())?,
    };
    match catch_unwind(AssertUnwindSafe(|| open_store.apply(writes))) {
        Ok(Ok(())) => {
            *store = Some(open_store);
            Ok(())
        }
        Ok(Err(error)) => Err(format!("state database {}: {error}", path.display())),
        Err(_) => Err(format!("state database {}: the database library failed", path.display())),
    }
}

#[cfg(test)]
mod tests;
