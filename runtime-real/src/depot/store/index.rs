//! What a tree holds, in memory: built from its files when a depot is opened, and again when another process changed them.
//! A copy is cheap where little changes: what is large is shared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annulus_core::PackageIdent;

use crate::depot::head::Head;
use crate::depot::list::OriginList;
use crate::depot::{Error, Record, STABLE, Tree, UNSTABLE};

/// A head with its text.
#[derive(Debug)]
struct Signed {
    text: Arc<str>,
    head: Head,
}

/// Where a head belongs: origin, channel, platform.
type HeadKey = (String, String, String);

/// What a tree holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    records: BTreeMap<PackageIdent, BTreeMap<String, Arc<Record>>>,
    heads: BTreeMap<HeadKey, Arc<Signed>>,
    /// Those that were made, by origin; also while nothing is in them.
    channels: BTreeMap<String, BTreeSet<String>>,
    lists: BTreeMap<String, Arc<OriginList>>,
}

impl Index {
    /// Reads a tree. What makes no sense in it is told of and passed over.
    pub(super) fn load(tree: &Tree) -> Result<Self, Error> {
        let mut index = Self::default();
        for path in files(&tree.pkgs(), 5)? {
            let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
            match serde_json::from_str::<Record>(&text) {
                Ok(record) => index.put_record(record),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a depot's record is damaged; run `annulus depot reindex`")
                }
            }
        }
        for path in entries(&tree.heads())? {
            let origin = name(&path);
            for channel in entries(&path)? {
                index.channels.entry(origin.clone()).or_default().insert(name(&channel));
                for target in entries(&channel)? {
                    index.load_head(&target.join("current"))?;
                }
            }
        }
        for path in entries(&tree.lists())? {
            index.load_lists(&path)?;
        }
        Ok(index)
    }

    fn load_head(&mut self, path: &Path) -> Result<(), Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io(path)(e)),
        };
        let parts: Vec<String> = path.ancestors().skip(1).take(3).map(name).collect();
        let [target, channel, origin] = &parts[..] else { return Ok(()) };
        match Head::parse(&text) {
            Ok(head) if head.is_of(origin, channel, target) => {
                self.put_head((origin, channel, target), text.into(), head);
            }
            Ok(_) => tracing::warn!(path = %path.display(), "a depot's head is that of another channel"),
            Err(reason) => tracing::warn!(path = %path.display(), %reason, "a depot's head is damaged"),
        }
        Ok(())
    }

    fn load_lists(&mut self, dir: &Path) -> Result<(), Error> {
        for path in files(dir, 1)? {
            let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
            match OriginList::parse(&text) {
                Ok(list) if list.origin() == name(dir) => self.put_list(list),
                Ok(_) => {
                    tracing::warn!(path = %path.display(), "a depot's list of keys is that of another origin")
                }
                Err(reason) => {
                    tracing::warn!(path = %path.display(), %reason, "a depot's list of keys is damaged")
                }
            }
        }
        Ok(())
    }

    pub(super) fn put_record(&mut self, record: Record) {
        let (Some(ident), Some(target)) = (record.ident(), record.target.clone()) else { return };
        self.records.entry(ident).or_default().insert(target, Arc::new(record));
    }

    pub(super) fn remove_record(&mut self, ident: &PackageIdent, target: &str) {
        if let Some(targets) = self.records.get_mut(ident) {
            targets.remove(target);
            if targets.is_empty() {
                self.records.remove(ident);
            }
        }
    }

    pub(super) fn put_head(
        &mut self,
        (origin, channel, target): (&str, &str, &str),
        text: Arc<str>,
        head: Head,
    ) {
        self.put_channel(origin, channel);
        let key = (origin.to_owned(), channel.to_owned(), target.to_owned());
        self.heads.insert(key, Arc::new(Signed { text, head }));
    }

    pub(super) fn put_channel(&mut self, origin: &str, channel: &str) {
        self.channels.entry(origin.to_owned()).or_default().insert(channel.to_owned());
    }

    pub(super) fn remove_channel(&mut self, origin: &str, channel: &str) {
        if let Some(channels) = self.channels.get_mut(origin) {
            channels.remove(channel);
        }
    }

    /// The newest list of an origin stays.
    pub(super) fn put_list(&mut self, list: OriginList) {
        let newest = self.lists.get(list.origin()).is_none_or(|known| known.number() < list.number());
        if newest {
            self.lists.insert(list.origin().to_owned(), Arc::new(list));
        }
    }

    pub(super) fn newest_list(&self, origin: &str) -> Option<Arc<OriginList>> {
        self.lists.get(origin).cloned()
    }

    pub(super) fn record(&self, ident: &PackageIdent, target: &str) -> Option<Arc<Record>> {
        self.records.get(ident)?.get(target).cloned()
    }

    /// The platforms for which a package is here.
    pub(super) fn targets(&self, ident: &PackageIdent) -> Vec<String> {
        self.records.get(ident).map(|targets| targets.keys().cloned().collect()).unwrap_or_default()
    }

    /// The newest of all packages that satisfies an ident.
    pub(super) fn newest(&self, wanted: &PackageIdent, target: &str) -> Option<Arc<Record>> {
        let fitting = self.records.iter().filter(|(ident, _)| ident.satisfies(wanted));
        let fitting = fitting.filter_map(|(ident, targets)| Some((ident, targets.get(target)?)));
        fitting
            .max_by(|(a, _), (b, _)| a.cmp_version(b).then_with(|| a.cmp(b)))
            .map(|(_, record)| Arc::clone(record))
    }

    pub(super) fn head(&self, origin: &str, channel: &str, target: &str) -> Option<&Head> {
        let key = (origin.to_owned(), channel.to_owned(), target.to_owned());
        self.heads.get(&key).map(|signed| &signed.head)
    }

    pub(super) fn head_text(&self, origin: &str, channel: &str, target: &str) -> Option<(Arc<str>, &Head)> {
        let key = (origin.to_owned(), channel.to_owned(), target.to_owned());
        self.heads.get(&key).map(|signed| (Arc::clone(&signed.text), &signed.head))
    }

    /// Every head, with where it belongs.
    pub(super) fn heads(&self) -> impl Iterator<Item = (&HeadKey, &Head)> {
        self.heads.iter().map(|(key, signed)| (key, &signed.head))
    }

    /// The heads of one channel, by platform.
    pub(super) fn heads_of(&self, origin: &str, channel: &str) -> Vec<(String, Head)> {
        let of = self.heads().filter(|((o, c, _), _)| o == origin && c == channel);
        of.map(|((_, _, target), head)| (target.clone(), head.clone())).collect()
    }

    /// Whether a channel is there: it was made, or something was promoted to it, and it was not removed.
    pub(super) fn has_channel(&self, origin: &str, channel: &str) -> bool {
        if channel == UNSTABLE || channel == STABLE {
            return true;
        }
        let is_made = self.channels.get(origin).is_some_and(|channels| channels.contains(channel));
        let heads = self.heads_of(origin, channel);
        is_made && (heads.is_empty() || heads.iter().any(|(_, head)| !head.is_removed()))
    }

    /// The channels of an origin.
    pub(super) fn channels(&self, origin: &str) -> Vec<String> {
        let mut all: BTreeSet<String> = [UNSTABLE, STABLE].map(str::to_owned).into();
        all.extend(self.channels.get(origin).into_iter().flatten().cloned());
        all.into_iter().filter(|channel| self.has_channel(origin, channel)).collect()
    }

    /// Packages by the first parts of their ident, newer before older.
    pub(super) fn list(&self, channel: Option<&str>, parts: &[&str]) -> Vec<(PackageIdent, Vec<String>)> {
        let fits = |ident: &PackageIdent| {
            let of = [Some(ident.origin()), Some(ident.name()), ident.version(), ident.release()];
            parts.iter().zip(of).all(|(wanted, part)| part == Some(*wanted))
        };
        let is_in = |ident: &PackageIdent, target: &str| {
            channel.is_none_or(|channel| {
                let head = self.head(ident.origin(), channel, target);
                head.is_some_and(|head| head.newest(ident).is_some())
            })
        };
        let mut found: Vec<(PackageIdent, Vec<String>)> = Vec::new();
        for (ident, targets) in self.records.iter().filter(|(ident, _)| fits(ident)) {
            let targets: Vec<String> =
                targets.keys().filter(|target| is_in(ident, target)).cloned().collect();
            if !targets.is_empty() {
                found.push((ident.clone(), targets));
            }
        }
        found.sort_by(|(a, _), (b, _)| {
            let key = |ident: &PackageIdent| (ident.origin().to_owned(), ident.name().to_owned());
            key(a).cmp(&key(b)).then_with(|| b.cmp_version(a)).then_with(|| b.cmp(a))
        });
        found
    }

    pub(super) fn search(&self, word: &str, distinct: bool) -> Vec<PackageIdent> {
        let word = word.to_ascii_lowercase();
        let fits = |ident: &PackageIdent| {
            format!("{}/{}", ident.origin(), ident.name()).to_ascii_lowercase().contains(&word)
        };
        let found = self.list(None, &[]).into_iter().map(|(ident, _)| ident).filter(fits);
        if !distinct {
            return found.collect();
        }
        let names: BTreeSet<String> =
            found.map(|ident| format!("{}/{}", ident.origin(), ident.name())).collect();
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// The packages that need this one, also through others.
    pub(super) fn needed_by(&self, ident: &PackageIdent) -> Vec<PackageIdent> {
        let needs = |record: &Record| {
            record.tdeps.iter().chain(&record.deps).any(|need| need.ident().as_ref() == Some(ident))
        };
        let records = self.records.iter().filter(|(_, targets)| targets.values().any(|record| needs(record)));
        records.map(|(ident, _)| ident.clone()).collect()
    }

    /// Whether a record other than this one names the same content.
    pub(super) fn is_shared(&self, ident: &PackageIdent, target: &str, checksum: &str) -> bool {
        self.records.iter().any(|(other, targets)| {
            targets
                .iter()
                .any(|(on, record)| (other, on.as_str()) != (ident, target) && record.checksum == checksum)
        })
    }

    /// Every package.
    pub(super) fn records(&self) -> impl Iterator<Item = (&PackageIdent, &str, &Arc<Record>)> {
        self.records.iter().flat_map(|(ident, targets)| {
            targets.iter().map(move |(target, record)| (ident, target.as_str(), record))
        })
    }
}

fn name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

/// What is in a directory, in the order of names; nothing where it is missing.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(Error::io(dir)(e)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let path = entry.map_err(Error::io(dir))?.path();
        // Names that begin with a dot are of files that are being written, or of other programs.
        if !name(&path).starts_with('.') && !name(&path).is_empty() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The files so many directories down.
fn files(dir: &Path, depth: usize) -> Result<Vec<PathBuf>, Error> {
    let mut level = vec![dir.to_owned()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for dir in level {
            next.extend(entries(&dir)?);
        }
        level = next;
    }
    level.retain(|path| path.is_file());
    Ok(level)
}
