//! Brings packages: finds what a channel holds, and puts a package with all that it needs into the artifact cache, verified.
//! From there it is installed as any package. What this host has already is asked of no depot.

use std::collections::BTreeMap;
use std::fs::{self, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::PackageIdent;
use tokio::time::sleep;

use super::Error;
use super::client::{Client, HeadAnswer, What, part_of};
use super::head::Head;
use super::list::OriginList;
use super::pins::{self, Pins};
use super::tree::{self, UNSTABLE};
use crate::host::clock;
use crate::host::root::Root;
use crate::keys::crypto::{self, Hash, PublicKey};
use crate::keys::{KeyCache, KeyError, KeyFile, KeyId, KeyKind};
use crate::package::{self, Hart, Limits, MetaFile, inspect};

/// So many lists of keys are read one after the other.
const LISTS_MAX: u64 = 1_000;
/// Where another process brings the same file, it is looked for so often whether that has ended.
const HELD_PERIOD: Duration = Duration::from_millis(100);
/// Most packages that one may need.
const NEEDS_MAX: usize = 10_000;

/// A package as a channel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which build.
    pub ident: PackageIdent,
    /// The hash of its file, where that is known before it comes.
    pub hash: Option<Hash>,
    /// How large its file is, in bytes, where that is known.
    pub size_bytes: Option<u64>,
}

/// What a look at a channel has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The newest package that fits; none where the channel has none.
    pub newest: Option<Wanted>,
    /// The number of the channel's head, where the depot has signed heads: it can be waited for the next.
    pub number: Option<u64>,
    /// Whether the head is another than the one that was asked after.
    pub is_new: bool,
}

/// Hears what happens meanwhile.
pub trait Report: Send {
    /// A line for people.
    fn say(&mut self, line: &str);
    /// So many bytes of a package are there, and of how many where that is known.
    fn come(&mut self, ident: &PackageIdent, have: u64, total: Option<u64>);
}

/// How packages are brought to this host.
pub struct Fetching<'a> {
    root: &'a Root,
    depot: &'a Client,
    /// Others that may have a package, which are asked for it by its hash first.
    peers: &'a [Client],
    /// `KEY=FINGERPRINT` of keys that the operator has compared.
    trusted: &'a [String],
    must_be_fresh: bool,
    report: &'a mut dyn Report,
    pins: Pins,
    keys: KeyCache,
    target: String,
    /// Origins whose lists were followed, and whether the depot has any of them.
    followed: BTreeMap<String, bool>,
}

impl<'a> Fetching<'a> {
    /// From this depot to this root.
    pub fn new(root: &'a Root, depot: &'a Client, report: &'a mut dyn Report) -> Self {
        Self {
            root,
            depot,
            peers: &[],
            trusted: &[],
            must_be_fresh: false,
            report,
            pins: Pins::new(root),
            keys: KeyCache::new(root.keys()),
            target: package::host_target(),
            followed: BTreeMap::new(),
        }
    }

    /// Asks these first for what is known by its hash.
    #[must_use]
    pub fn with_peers(mut self, peers: &'a [Client]) -> Self {
        self.peers = peers;
        self
    }

    /// With what the operator has said about trust.
    #[must_use]
    pub fn with_trust(mut self, trusted: &'a [String], must_be_fresh: bool) -> Self {
        self.trusted = trusted;
        self.must_be_fresh = must_be_fresh;
        self
    }

    fn distrusted(&self, what: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Distrusted { url: self.depot.url().to_string(), what: what.into(), reason: reason.into() }
    }

    /// The newest package of a channel that fits; with `after`, waits so long for a head above that number.
    ///
    /// # Errors
    /// The depot cannot be asked, or what it says is not to be believed.
    pub async fn look(
        &mut self,
        wanted: &PackageIdent,
        channel: &str,
        after: Option<(u64, Duration)>,
    ) -> Result<Fetched, Error> {
        let origin = wanted.origin();
        self.followed.clear();
        // Which keys count is asked for first, whatever is wanted: a removed one has no say about anything.
        if !self.follow(origin).await? || channel == UNSTABLE {
            return self.ask_for_latest(wanted, channel).await;
        }
        let what = format!("the channel {channel} of {origin}");
        let asked_ms = clock::boot_ms();
        let text = match self.depot.head((origin, channel, &self.target), after).await? {
            HeadAnswer::Text(text) => text,
            HeadAnswer::Unchanged => {
                return Ok(Fetched { newest: None, number: after.map(|(number, _)| number), is_new: false });
            }
            HeadAnswer::None if self.pins.has_head(origin, channel, &self.target)? => {
                return Err(self.distrusted(
                    what,
                    "it has no head of it, and one was seen before: it keeps back what counts",
                ));
            }
            HeadAnswer::None => return Ok(Fetched { newest: None, number: None, is_new: true }),
        };
        let key = (origin, channel, self.target.as_str());
        let accepted = self.pins.accept_head(key, &text, clock::wall(), self.must_be_fresh)?;
        let accepted = accepted.map_err(|why| self.distrusted(what, why))?;
        if let Some(warning) = &accepted.warning {
            self.report.say(&format!("warning: {warning}"));
        }
        let head = accepted.head;
        let is_new = after.is_none_or(|(number, _)| head.number() > number);
        if let (Some((_, wait)), false) = (after, is_new) {
            // Where files alone are served, nothing waits for news but the one who asks.
            let waited = Duration::from_millis(clock::boot_ms().saturating_sub(asked_ms));
            sleep(wait.saturating_sub(waited)).await;
        }
        Ok(Fetched { newest: newest(&head, wanted), number: Some(head.number()), is_new })
    }

    /// What a depot without signed heads says.
    async fn ask_for_latest(&mut self, wanted: &PackageIdent, channel: &str) -> Result<Fetched, Error> {
        let record = self.depot.latest(channel, wanted, &self.target).await?;
        let newest = record.and_then(|record| {
            Some(Wanted { ident: record.ident()?, hash: record.hash(), size_bytes: record.size_bytes })
        });
        Ok(Fetched { newest, number: None, is_new: true })
    }

    /// Takes what the depot has of lists of an origin's keys, one after the other; whether it has any. Once for each origin,
    /// and look at a channel.
    ///
    /// # Errors
    /// The depot cannot be asked, one of the lists is not to be believed, or it has none and one was seen before.
    pub async fn follow(&mut self, origin: &str) -> Result<bool, Error> {
        if let Some(has_lists) = self.followed.get(origin) {
            return Ok(*has_lists);
        }
        let has_lists = self.follow_lists(origin).await?;
        if !has_lists && self.pins.list(origin)?.is_some() {
            return Err(self.distrusted(
                origin,
                "it has no list of that origin's keys, and one was seen before: it keeps back what counts, or is another depot",
            ));
        }
        self.followed.insert(origin.to_owned(), has_lists);
        Ok(has_lists)
    }

    async fn follow_lists(&mut self, origin: &str) -> Result<bool, Error> {
        let Some(text) = self.depot.list(origin, None).await? else { return Ok(false) };
        let said = OriginList::parse(&text)
            .map_err(|why| self.distrusted(origin, format!("its list of keys: {why}")))?;
        let newest = said.number();
        let pinned = self.pins.list(origin)?.map(|pinned| pinned.number());
        let next = match pinned {
            Some(pinned) if newest > pinned.saturating_add(LISTS_MAX) => {
                let why = format!("its list of keys has number {newest}, far above the next one");
                return Err(self.distrusted(origin, why));
            }
            Some(pinned) => pinned + 1,
            // Where a key of the origin is known, one of the first lists may be the last that it signed.
            None => newest.saturating_sub(LISTS_MAX).max(1),
        };
        let mut lists = Vec::new();
        for number in next..newest {
            match self.depot.list(origin, Some(number)).await? {
                Some(between) => lists.push(between),
                None if pinned.is_none() => lists.clear(),
                None => {
                    let why = format!("its list of keys number {number} is missing");
                    return Err(self.distrusted(origin, why));
                }
            }
        }
        lists.push(text);
        match self.pins.accept_lists(origin, &lists)? {
            Ok(Some(note)) => self.report.say(&note),
            Ok(None) => {}
            Err(why) => return Err(self.distrusted(origin, why)),
        }
        Ok(true)
    }

    /// Brings a package and everything that it needs into the artifact cache, as far as it is not installed.
    ///
    /// # Errors
    /// A depot cannot be asked or has not all of it, or something is not what it has to be. What has come before is kept.
    pub async fn bring(&mut self, wanted: &Wanted) -> Result<(), Error> {
        if self.is_installed(&wanted.ident) {
            return Ok(());
        }
        self.follow(wanted.ident.origin()).await?;
        let needs = self.bring_one(wanted).await?;
        if needs.len() > NEEDS_MAX {
            return Err(self.refused(&wanted.ident, format!("it needs more than {NEEDS_MAX} packages")));
        }
        for need in needs {
            if self.is_installed(&need) {
                continue;
            }
            self.follow(need.origin()).await?;
            // What a package needs is named by its exact build, which is signed; its channel means nothing.
            let record = self.depot.latest(UNSTABLE, &need, &self.target).await?;
            let Some(record) = record else {
                return Err(
                    self.refused(&wanted.ident, format!("it needs {need}, which that depot does not have"))
                );
            };
            let need = Wanted {
                hash: record.hash(),
                size_bytes: record.size_bytes,
                ident: record.ident().unwrap_or(need),
            };
            self.bring_one(&need).await?;
        }
        Ok(())
    }

    fn is_installed(&self, ident: &PackageIdent) -> bool {
        package::newest(self.root, ident).is_ok()
    }

    fn refused(&self, ident: &PackageIdent, reason: impl Into<String>) -> Error {
        Error::Content { ident: ident.clone(), url: self.depot.url().to_string(), reason: reason.into() }
    }

    /// Brings one file, and returns what the package in it needs.
    async fn bring_one(&mut self, wanted: &Wanted) -> Result<Vec<PackageIdent>, Error> {
        let path = tree::artifact(self.root, &wanted.ident);
        if let Some(dir) = path.parent() {
            tree::make_dir(dir)?;
        }
        let part = part_of(&path);
        let _held = hold(&part).await?;
        if path.is_file() {
            match self.check(wanted, &path).await {
                // It has lain here, so the depot has no part in this.
                Err(Error::Content { reason, .. }) if !is_whole(wanted, &path).await? => {
                    self.report.say(&format!(
                        "warning: {} is damaged and is brought anew: {reason}",
                        path.display()
                    ));
                    fs::remove_file(&path).map_err(Error::io(&path))?;
                }
                checked => {
                    fs::remove_file(&part).map_err(Error::io(&part))?;
                    return checked;
                }
            }
        }
        let began = fs::metadata(&part).map_err(Error::io(&part))?.len() > 0;
        self.download(wanted, &part).await?;
        let mut checked = self.check(wanted, &part).await;
        if began && matches!(checked, Err(Error::Content { .. })) {
            // The beginning may have come from elsewhere.
            empty(&part)?;
            self.download(wanted, &part).await?;
            checked = self.check(wanted, &part).await;
        }
        if checked
            .as_ref()
            .is_err_and(|error| !error.is_passing() && !matches!(error, Error::NewSigner { .. }))
        {
            // What is wrong as a whole is no beginning of what is right.
            fs::remove_file(&part).map_err(Error::io(&part))?;
        }
        let needs = checked?;
        fs::rename(&part, &path).map_err(Error::io(&path))?;
        Ok(needs)
    }

    async fn download(&mut self, wanted: &Wanted, part: &Path) -> Result<(), Error> {
        let Self { report, peers, depot, target, followed, .. } = self;
        let mut come = |have: u64, total: Option<u64>| report.come(&wanted.ident, have, total);
        if let (Some(hash), Some(_)) = (wanted.hash, wanted.size_bytes) {
            for peer in *peers {
                match peer
                    .clone()
                    .directly()
                    .download(&What::Blob(hash), wanted.size_bytes, part, &mut come)
                    .await
                {
                    Ok(_) if is_hash(part, hash).await? => return Ok(()),
                    Ok(_) => empty(part)?,
                    Err(error @ Error::Io { .. }) => return Err(error),
                    Err(error) => {
                        tracing::debug!(peer = %peer.url(), %error, "a member did not give a package")
                    }
                }
            }
        }
        // Who has lists of keys has a tree, where content lies by its hash; others know packages by their names alone.
        let is_tree = followed.get(wanted.ident.origin()) == Some(&true);
        let what = match wanted.hash.filter(|_| is_tree) {
            Some(hash) => What::Blob(hash),
            None => What::Package(&wanted.ident, target),
        };
        depot.download(&what, wanted.size_bytes, part, &mut come).await.map(drop)
    }

    /// Checks a file from its hash to its signature, and returns what the package in it needs.
    async fn check(&mut self, wanted: &Wanted, path: &Path) -> Result<Vec<PackageIdent>, Error> {
        if let Some(hash) = wanted.hash
            && !is_hash(path, hash).await?
        {
            let why =
                format!("its content is not the one with the hash {hash}, which is what the channel holds");
            return Err(self.refused(&wanted.ident, why));
        }
        let signer = Hart::open(path).map_err(|e| self.inside(wanted, path, e))?.header().signer.clone();
        if signer.name() != wanted.ident.origin() {
            let why = format!("it is signed by {signer}, which is not a key of its origin");
            return Err(self.refused(&wanted.ident, why));
        }
        self.need_key(&wanted.ident, &signer).await?;
        let (keys, at) = (self.keys.clone(), path.to_owned());
        let looked = blocking(move || {
            let mut hart = Hart::open(&at)?;
            hart.verify(&keys)?;
            inspect(&mut hart, Limits::default())
        });
        let said = looked.await?.map_err(|e| self.inside(wanted, path, e))?;
        if said.ident != wanted.ident {
            return Err(self.refused(&wanted.ident, format!("what is inside is {}", said.ident)));
        }
        let own = said.metafiles.get(&MetaFile::Target).map(|text| text.trim().to_owned());
        if let Some(own) = own.filter(|own| *own != self.target) {
            return Err(
                self.refused(&wanted.ident, format!("it is made for {own}, and this is {}", self.target))
            );
        }
        let needs = said.metafiles.get(&MetaFile::Tdeps).map_or("", String::as_str);
        let needs = needs.lines().map(str::trim).filter(|line| !line.is_empty());
        let needs = needs
            .map(|line| line.parse().map_err(|_| self.refused(&wanted.ident, format!("it needs {line:?}"))));
        needs.collect()
    }

    fn inside(&self, wanted: &Wanted, path: &Path, error: package::Error) -> Error {
        if error.is_of_files() {
            return Error::Package(error);
        }
        let text = error.to_string().replace(&format!("{}: ", path.display()), "");
        self.refused(&wanted.ident, text)
    }

    /// Sees that the signer's key is in the key cache, and that it counts.
    async fn need_key(&mut self, ident: &PackageIdent, signer: &KeyId) -> Result<(), Error> {
        if let Some(list) = self.pins.list(signer.name())?
            && !list.origin_keys().iter().any(|key| key.id == signer.to_string())
        {
            let why = format!(
                "it is signed by {signer}, which list {} of its origin's keys does not name",
                list.number()
            );
            return Err(self.refused(ident, why));
        }
        match self.keys.origin_public(signer) {
            Err(KeyError::Missing { .. }) => {}
            found => return found.map(drop).map_err(Error::from),
        }
        let Some(text) = self.depot.key(signer.name(), Some(signer.revision())).await? else {
            return Err(
                self.refused(ident, format!("it is signed by {signer}, which that depot does not have"))
            );
        };
        let from = PathBuf::from(format!("the key from {}", self.depot.url()));
        let file = KeyFile::parse(&text, &from)?;
        let public = PublicKey::from_bytes(file.bytes())
            .filter(|_| file.id == *signer && file.kind == KeyKind::SigPublic);
        let Some(public) = public else {
            return Err(self.refused(ident, format!("that depot gives another key for {signer}")));
        };
        let fingerprint = pins::fingerprint(&public);
        if !self.pins.may_trust(signer, &public, self.trusted)? {
            return Err(Error::NewSigner {
                ident: ident.clone(),
                signer: Box::new(signer.clone()),
                fingerprint,
            });
        }
        self.keys.store(&file)?;
        self.report.say(&format!(
            "{signer} is trusted from now on for packages of {}, fingerprint {fingerprint}",
            signer.name()
        ));
        Ok(())
    }
}

fn newest(head: &Head, wanted: &PackageIdent) -> Option<Wanted> {
    let (ident, entry) = head.newest(wanted)?;
    Some(Wanted { ident, hash: entry.checksum.parse().ok(), size_bytes: Some(entry.size_bytes) })
}

/// Waits until this process alone brings a file, and holds it off from others as long as what is returned lives.
async fn hold(part: &Path) -> Result<fs::File, Error> {
    loop {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(part);
        let file = file.map_err(Error::io(part))?;
        match file.try_lock() {
            // What was locked may have been brought to its place, or removed, before.
            Ok(()) => match (file.metadata(), fs::metadata(part)) {
                (Ok(locked), Ok(there)) if locked.ino() == there.ino() => return Ok(file),
                _ => {}
            },
            Err(TryLockError::WouldBlock) => sleep(HELD_PERIOD).await,
            Err(TryLockError::Error(error)) => return Err(Error::io(part)(error)),
        }
    }
}

fn empty(part: &Path) -> Result<(), Error> {
    fs::OpenOptions::new().write(true).truncate(true).open(part).map(drop).map_err(Error::io(part))
}

/// Whether a file has the content that is wanted, as far as that is known.
async fn is_whole(wanted: &Wanted, path: &Path) -> Result<bool, Error> {
    match wanted.hash {
        Some(hash) => is_hash(path, hash).await,
        None => Ok(false),
    }
}

async fn is_hash(path: &Path, hash: Hash) -> Result<bool, Error> {
    let path = path.to_owned();
    blocking(move || {
        let mut file = fs::File::open(&path).map_err(Error::io(&path))?;
        Ok(crypto::hash_reader(&mut file).map_err(Error::io(&path))? == hash)
    })
    .await?
}

/// Runs work that keeps the disk or the processor busy beside the loop.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::BadRequest(format!("the work was given up: {e}")))
}
