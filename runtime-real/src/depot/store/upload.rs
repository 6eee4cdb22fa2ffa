//! Takes a package: its file is stored under another name first, and becomes a package of the depot once everything about it
//! was verified. One that is there is never replaced.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use annulus_core::{PackageIdent, UnixTime};
use tempfile::{NamedTempFile, TempPath};

use super::keys::check_signer;
use super::{Actor, Store, write};
use crate::depot::record::FileFacts;
use crate::depot::{Error, OriginList, Record, Tree, tree};
use crate::host::{atomic, clock, timestamp};
use crate::keys::crypto::{self, Hash};
use crate::package::{Hart, MetaFile, inspect};

/// A package that is on its way.
#[derive(Debug)]
pub struct Upload {
    ident: PackageIdent,
    target: String,
    checksum: Hash,
    path: TempPath,
}

impl Upload {
    /// Where its bytes are to be written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What did not change for so long is no upload any more: one that stalls is given up much earlier.
const ABANDONED_AGE: Duration = Duration::from_secs(3600);

/// Removes what is left of uploads whose process has ended.
pub(super) fn remove_abandoned(tree: &Tree) -> Result<(), Error> {
    let dir = tree.incoming();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::wall().as_millis());
    for entry in fs::read_dir(&dir).map_err(Error::io(&dir))?.flatten() {
        let age = entry.metadata().ok().and_then(|meta| now.duration_since(meta.modified().ok()?).ok());
        if age.is_some_and(|age| age > ABANDONED_AGE) {
            let path = entry.path();
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

impl Store {
    /// Begins to take a package; removed again unless [`Self::finish_upload`] is called.
    ///
    /// # Errors
    /// It is there already, the ident names no build, or the disk refuses.
    pub fn begin_upload(
        &self,
        ident: &PackageIdent,
        target: &str,
        checksum: Hash,
    ) -> Result<(Upload, File), Error> {
        tree::check_target(target)?;
        if !ident.is_fully_qualified() {
            return Err(Error::BadRequest(format!(
                "{ident} names no build: version and release are missing"
            )));
        }
        self.check_new(ident, target, &checksum)?;
        let dir = self.tree.incoming();
        let file = NamedTempFile::new_in(&dir).map_err(Error::io(&dir))?;
        let (file, path) = file.into_parts();
        Ok((Upload { ident: ident.clone(), target: target.to_owned(), checksum, path }, file))
    }

    fn check_new(&self, ident: &PackageIdent, target: &str, checksum: &Hash) -> Result<(), Error> {
        let Some(there) = self.index()?.record(ident, target) else { return Ok(()) };
        let how = if there.hash() == Some(*checksum) {
            "with the same content"
        } else {
            "with other content, which is never replaced: build it again, which gives it a new release"
        };
        Err(Error::Conflict(format!("{ident} for {target} is here already, {how}")))
    }

    /// Verifies a package that has come whole, and takes it.
    ///
    /// # Errors
    /// Its content is not what the request says, it is not signed by a key of its origin that counts here, it is damaged or
    /// hostile, or it is there already. Nothing is kept of it then.
    pub fn finish_upload(&self, upload: Upload, now: UnixTime, by: &Actor) -> Result<Record, Error> {
        let Upload { ident, target, checksum, path } = upload;
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let actual = crypto::hash_reader(&mut file).map_err(Error::io(&path))?;
        if actual != checksum {
            return Err(Error::Refused(format!(
                "{ident}: what came has hash {actual}, and the request says {checksum}: send it again"
            )));
        }
        let size_bytes = file.metadata().map_err(Error::io(&path))?.len();
        let list = self.list_of(ident.origin())?;
        let record = self.verify(&path, (&ident, &target), (&checksum, size_bytes), list.as_deref(), now)?;
        file.set_permissions(Permissions::from_mode(0o644)).map_err(Error::io(&path))?;
        file.sync_all().map_err(Error::io(&path))?;
        self.change(|index| {
            // Another one may have come meanwhile.
            if index.record(&ident, &target).is_some() {
                return Err(Error::Conflict(format!(
                    "{ident} for {target} has come meanwhile by another upload"
                )));
            }
            // The key may have been removed meanwhile.
            let signer = record.signer.as_ref().and_then(|signer| signer.parse().ok());
            if let Some(signer) = signer {
                check_signer(index.newest_list(ident.origin()).as_deref(), &signer)?;
            }
            let blob = self.tree.blob(&checksum);
            fs::rename(&path, &blob).map_err(Error::io(&blob))?;
            let dir = self.tree.blobs();
            atomic::sync_dir(&dir).map_err(Error::io(&dir))?;
            self.write_record(&ident, &target, &record)?;
            self.audit(now, by, "upload", &format!("{ident} {target} {checksum}"))?;
            index.put_record(record.clone());
            Ok(())
        })?;
        Ok(record)
    }

    pub(super) fn write_record(
        &self,
        ident: &PackageIdent,
        target: &str,
        record: &Record,
    ) -> Result<(), Error> {
        let path = self.tree.record(ident, target).expect("a record is of a fully qualified ident");
        let text = serde_json::to_string_pretty(record).expect("a record is JSON");
        write(&path, &(text + "\n"))
    }

    /// Checks that a file is the package that it is said to be, signed by a key of its origin that counts here.
    pub(super) fn verify(
        &self,
        path: &Path,
        (ident, target): (&PackageIdent, &str),
        (checksum, size_bytes): (&Hash, u64),
        list: Option<&OriginList>,
        now: UnixTime,
    ) -> Result<Record, Error> {
        // The file's name means nothing to who sent it.
        let refused = |why: String| Error::Refused(format!("{ident}: {why}"));
        let named = |error: crate::package::Error| {
            if error.is_of_files() { Error::Package(error) } else { refused(self.without_path(&error, path)) }
        };
        let mut hart = Hart::open(path).map_err(named)?;
        let signer = hart.header().signer.clone();
        if signer.name() != ident.origin() {
            return Err(refused(format!(
                "it is signed by {signer}, which is not a key of origin {}",
                ident.origin()
            )));
        }
        check_signer(list, &signer)?;
        hart.verify(&self.tree.keys()).map_err(named)?;
        let said = inspect(&mut hart, self.limits).map_err(named)?;
        if said.ident != *ident {
            return Err(refused(format!("what is inside is {}", said.ident)));
        }
        let own = said.metafiles.get(&MetaFile::Target).map(|text| text.trim());
        if let Some(own) = own.filter(|own| *own != target) {
            return Err(refused(format!("what is inside is made for {own}, and the request says {target}")));
        }
        let facts = FileFacts {
            checksum,
            size_bytes,
            signer: signer.to_string(),
            target: target.to_owned(),
            created_at: timestamp::rfc3339_millis(now),
        };
        let record = Record::of(&said, said.config.clone(), facts)?;
        if record.tdeps.iter().any(|need| need.ident().as_ref() == Some(ident)) {
            return Err(Error::Circular(ident.clone()));
        }
        Ok(record)
    }

    fn without_path(&self, error: &crate::package::Error, path: &Path) -> String {
        error
            .to_string()
            .replace(&format!("{}: ", path.display()), "")
            .replace(&path.display().to_string(), "it")
    }
}
