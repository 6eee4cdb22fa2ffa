//! Removes packages, and makes the records again from the files that are there.

use std::fs::{self, File};
use std::io;

use annulus_core::{PackageIdent, UnixTime};

use super::index::{Index, entries};
use super::{Actor, Store};
use crate::depot::{Error, UNSTABLE};
use crate::keys::crypto::{self, Hash};
use crate::package::{Hart, MetaFile, inspect};

/// What building the records again has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// So many packages are there now.
    pub packages: usize,
    /// So many of them had no record before.
    pub found: usize,
    /// Files that are no packages of this depot, and why.
    pub damaged: Vec<String>,
    /// Packages of channels whose files are missing.
    pub missing: Vec<String>,
}

impl Store {
    /// Removes a package.
    ///
    /// # Errors
    /// It is not here, is in a channel beside unstable, or another package needs it.
    pub fn delete(&self, ident: &PackageIdent, target: &str, now: UnixTime, by: &Actor) -> Result<(), Error> {
        let channels: Vec<String> =
            self.channels_of(ident, target)?.into_iter().map(|channel| channel.name).collect();
        let others: Vec<&str> =
            channels.iter().map(String::as_str).filter(|name| *name != UNSTABLE).collect();
        if let Some(first) = others.first() {
            return Err(Error::Refused(format!(
                "{ident} is in the channel {}: run `annulus pkg demote {ident} {first}` before",
                others.join(", ")
            )));
        }
        self.change(|index| {
            let record = index.record(ident, target).ok_or_else(|| self.unknown(index, ident, target))?;
            let needed_by = index.needed_by(ident);
            if let Some(first) = needed_by.first() {
                return Err(Error::Refused(format!("{first} needs {ident}, so it is not deleted")));
            }
            let path = self.tree.record(ident, target).expect("a record is of a fully qualified ident");
            fs::remove_file(&path).map_err(Error::io(&path))?;
            if let Some(hash) = record.hash().filter(|_| !index.is_shared(ident, target, &record.checksum)) {
                let blob = self.tree.blob(&hash);
                match fs::remove_file(&blob) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(&blob)(e)),
                    _ => {}
                }
            }
            self.audit(now, by, "delete", &format!("{ident} {target}"))?;
            index.remove_record(ident, target);
            Ok(())
        })
    }

    /// Makes the records again from the package files, and says what is wrong. Removes no file.
    ///
    /// # Errors
    /// The tree cannot be read or written.
    pub fn reindex(&self, now: UnixTime) -> Result<Report, Error> {
        self.change(|index| {
            let mut report = Report::default();
            let mut seen = Vec::new();
            for path in entries(&self.tree.blobs())? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                match self.look(index, &path, &name, now) {
                    Ok((ident, target, mut record)) => {
                        match index.record(&ident, &target) {
                            Some(old) => record.created_at.clone_from(&old.created_at),
                            None => report.found += 1,
                        }
                        self.write_record(&ident, &target, &record)?;
                        index.put_record(record);
                        seen.push((ident, target));
                    }
                    Err(error @ Error::Io { .. }) => return Err(error),
                    Err(error) => report.damaged.push(format!("{}: {error}", path.display())),
                }
            }
            let gone: Vec<(PackageIdent, String)> = index
                .records()
                .map(|(ident, target, _)| (ident.clone(), target.to_owned()))
                .filter(|known| !seen.contains(known))
                .collect();
            for (ident, target) in gone {
                let path = self.tree.record(&ident, &target).expect("a record is of a fully qualified ident");
                fs::remove_file(&path).map_err(Error::io(&path))?;
                index.remove_record(&ident, &target);
            }
            for ((_, channel, target), head) in index.heads() {
                for (ident, _) in head.packages().filter(|(ident, _)| index.record(ident, target).is_none()) {
                    report.missing.push(format!("{ident} for {target}, in the channel {channel}"));
                }
            }
            report.packages = seen.len();
            self.audit(now, &Actor::local(), "reindex", &report.packages.to_string())?;
            Ok(report)
        })
    }

    fn look(
        &self,
        index: &Index,
        path: &std::path::Path,
        name: &str,
        now: UnixTime,
    ) -> Result<(PackageIdent, String, crate::depot::Record), Error> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let hash = crypto::hash_reader(&mut file).map_err(Error::io(path))?;
        if name.parse::<Hash>() != Ok(hash) {
            return Err(Error::Refused(format!("its content has hash {hash}")));
        }
        let size_bytes = file.metadata().map_err(Error::io(path))?.len();
        let said = inspect(&mut Hart::open(path)?, self.limits)?;
        let target = said
            .metafiles
            .get(&MetaFile::Target)
            .map_or_else(crate::package::host_target, |text| text.trim().to_owned());
        let list = index.newest_list(said.ident.origin());
        let record = self.verify(path, (&said.ident, &target), (&hash, size_bytes), list.as_deref(), now)?;
        Ok((said.ident, target, record))
    }
}
