//! Brings packages: finds what a channel holds, and puts a package with all that it needs into the artifact cache, verified.
//! From there it is installed as any package. What this host has already is asked of no depot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus_core::PackageIdent;

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
        if channel == UNSTABLE {
            return self.ask_for_latest(wanted, channel).await;
        }
        if !self.follow_lists(origin).await? {
            if self.pins.list(origin)?.is_some() {
                return Err(self.distrusted(
                    origin,
                    "it has no list of that origin's keys, and one was seen before: it keeps back what counts, or is another depot",
                ));
            }
            return self.ask_for_latest(wanted, channel).await;
        }
        let what = format!("the channel {channel} of {origin}");
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

    /// Takes what the depot has of lists of an origin's keys, one after the other; whether it has any.
    async fn follow_lists(&mut self, origin: &str) -> Result<bool, Error> {
        let Some(text) = self.depot.list(origin, None).await? else { return Ok(false) };
        let said = OriginList::parse(&text)
            .map_err(|why| self.distrusted(origin, format!("its list of keys: {why}")))?;
        let newest = said.number();
        let next = self.pins.list(origin)?.map_or(newest, |pinned| pinned.number() + 1);
        if newest > next.saturating_add(LISTS_MAX) {
            return Err(self.distrusted(
                origin,
                format!("its list of keys has number {newest}, far above the next one"),
            ));
        }
        for number in next..newest {
            let between = self.depot.list(origin, Some(number)).await?;
            let between = between.ok_or_else(|| {
                self.distrusted(origin, format!("its list of keys number {number} is missing"))
            })?;
            self.take_list(origin, &between)?;
        }
        self.take_list(origin, &text)?;
        Ok(true)
    }

    fn take_list(&mut self, origin: &str, text: &str) -> Result<(), Error> {
        match self.pins.accept_list(origin, text)? {
            Ok(Some(note)) => self.report.say(&note),
            Ok(None) => {}
            Err(why) => return Err(self.distrusted(origin, why)),
        }
        Ok(())
    }

    /// Brings a package and everything that it needs into the artifact cache, as far as it is not installed.
    ///
    /// # Errors
    /// A depot cannot be asked or has not all of it, or something is not what it has to be. What has come before is kept.
    pub async fn bring(&mut self, wanted: &Wanted) -> Result<(), Error> {
        if self.is_installed(&wanted.ident) {
            return Ok(());
        }
        let needs = self.bring_one(wanted).await?;
        if needs.len() > NEEDS_MAX {
            return Err(self.refused(&wanted.ident, format!("it needs more than {NEEDS_MAX} packages")));
        }
        for need in needs {
            if self.is_installed(&need) {
                continue;
            }
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
        if path.is_file() {
            return self.check(wanted, &path).await;
        }
        let part = part_of(&path);
        self.download(wanted, &part).await?;
        let checked = self.check(wanted, &part).await;
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
        let Self { report, peers, depot, target, .. } = self;
        let mut come = |have: u64, total: Option<u64>| report.come(&wanted.ident, have, total);
        if let (Some(hash), Some(_)) = (wanted.hash, wanted.size_bytes) {
            for peer in *peers {
                match peer.download(&What::Blob(hash), wanted.size_bytes, part, &mut come).await {
                    Ok(_) if is_hash(part, hash).await? => return Ok(()),
                    Ok(_) => fs::remove_file(part).map_err(Error::io(part))?,
                    Err(error @ Error::Io { .. }) => return Err(error),
                    Err(error) => {
                        tracing::debug!(peer = %peer.url(), %error, "a member did not give a package")
                    }
                }
            }
        }
        let what = What::Package(&wanted.ident, target);
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
