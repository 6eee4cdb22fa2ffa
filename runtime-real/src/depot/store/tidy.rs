//! Removes packages, and makes the records again from the files that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;

use annulus_core::{PackageIdent, UnixTime};

use super::channels::held_back;
use super::index::{Index, entries};
use super::{Actor, Store};
use crate::depot::{Error, Record, UNSTABLE};
use crate::host::atomic;
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
    /// What lies among the package files and is no file.
    pub foreign: Vec<String>,
    /// Packages of channels whose files are missing.
    pub missing: Vec<String>,
    /// Packages of channels that hosts refuse, because the key that signed them counts no more.
    pub held_back: Vec<String>,
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

    /// Makes the records again from the package files, and says what is wrong. Removes no package file. The files are read
    /// while the depot goes on; who changes it waits only while the records are written.
    ///
    /// # Errors
    /// The tree cannot be read or written, or another process changes it and does not end.
    pub fn reindex(&self, now: UnixTime) -> Result<Report, Error> {
        let mut report = Report::default();
        let mut seen = BTreeMap::new();
        for path in entries(&self.tree.blobs())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let looked = if path.is_file() {
                self.look(&path, &name, now)
            } else {
                // Another program's, such as lost+found.
                report.foreign.push(format!("{}: it is no file", path.display()));
                continue;
            };
            match looked {
                Ok((ident, target, record)) => drop(seen.insert((ident, target), record)),
                // It was deleted meanwhile.
                Err(_) if !path.exists() => {}
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => report.damaged.push(format!("{}: {error}", path.display())),
            }
        }
        self.change(|index| {
            self.write_records(index, seen, &mut report)?;
            for ((_, channel, target), head) in index.heads() {
                for (ident, _) in head.packages().filter(|(ident, _)| index.record(ident, target).is_none()) {
                    report.missing.push(format!("{ident} for {target}, in the channel {channel}"));
                }
            }
            let origins: BTreeSet<&String> = index.heads().map(|((origin, ..), _)| origin).collect();
            report.held_back = origins.into_iter().flat_map(|origin| held_back(index, origin)).collect();
            self.remove_leftovers()?;
            self.audit(now, &Actor::local(), "reindex", &report.packages.to_string())?;
            Ok(())
        })?;
        Ok(report)
    }

    /// Writes the records of what was seen, and removes those of what is not here any more. What was uploaded or deleted
    /// meanwhile is as the one who did that has left it.
    fn write_records(
        &self,
        index: &mut Index,
        seen: BTreeMap<(PackageIdent, String), Record>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let has_file = |record: &Record| record.hash().is_some_and(|hash| self.tree.blob(&hash).is_file());
        let known: Vec<(PackageIdent, String)> =
            index.records().map(|(ident, target, _)| (ident.clone(), target.to_owned())).collect();
        let damaged = |record: &Record| {
            let name = &record.checksum;
            report.damaged.iter().any(|line| line.contains(name.as_str()))
        };
        let gone = known.iter().filter(|(ident, target)| {
            let record = index.record(ident, target);
            !seen.contains_key(&(ident.clone(), target.clone()))
                && record.is_none_or(|record| !has_file(&record) || damaged(&record))
        });
        let gone: Vec<_> = gone.cloned().collect();
        for (ident, target) in gone {
            let path = self.tree.record(&ident, &target).expect("a record is of a fully qualified ident");
            fs::remove_file(&path).map_err(Error::io(&path))?;
            index.remove_record(&ident, &target);
        }
        for ((ident, target), mut record) in seen {
            if !has_file(&record) {
                continue;
            }
            match index.record(&ident, &target) {
                Some(old) => record.created_at.clone_from(&old.created_at),
                None => report.found += 1,
            }
            self.write_record(&ident, &target, &record)?;
            index.put_record(record);
        }
        report.packages = index.records().count();
        Ok(())
    }

    /// Removes files that were being written when a process ended. None is being written while the tree is held.
    fn remove_leftovers(&self) -> Result<(), Error> {
        let mut dirs = self.tree.written_dirs();
        while let Some(dir) = dirs.pop() {
            let Ok(listed) = fs::read_dir(&dir) else { continue };
            for entry in listed.flatten() {
                let (path, kind) = (entry.path(), entry.file_type());
                let Ok(kind) = kind else { continue };
                if kind.is_dir() {
                    dirs.push(path);
                } else if kind.is_file() && atomic::is_staged(&path) {
                    fs::remove_file(&path).map_err(Error::io(&path))?;
                }
            }
        }
        Ok(())
    }

    fn look(
        &self,
        path: &std::path::Path,
        name: &str,
        now: UnixTime,
    ) -> Result<(PackageIdent, String, Record), Error> {
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
        // A key that counts no more has still signed it: hosts refuse the package, and the depot goes on to know what it has.
        let record = self.verify(path, (&said.ident, &target), (&hash, size_bytes), None, now)?;
        Ok((said.ident, target, record))
    }
}
