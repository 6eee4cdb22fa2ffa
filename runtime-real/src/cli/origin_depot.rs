//! What a depot has to know of an origin: its keys (`annulus origin key upload|download`), and by one signed list which of them
//! count, and which key of the depot says what the origin's channels hold (`annulus origin certify`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::depot::options::DepotOptions;
use super::depot::progress::Progress;
use super::{CliError, Global, block_on, key, output};
use crate::depot::client::Client;
use crate::depot::{Error, Fetching, ListedKey, OriginList, Pins, check_origin, fingerprint};
use crate::host::clock;
use crate::host::root::Root;
use crate::keys::crypto::{PublicKey, SecretKey};
use crate::keys::{KeyCache, KeyFile, KeyId, KeyKind};

/// Keys for a depot.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Upload {
    /// The origin
    #[arg(value_name = "ORIGIN", required_unless_present_any = ["pubfile", "secfile"])]
    origin: Option<String>,
    /// Its newest secret key as well, for those who may promote its packages
    #[arg(short, long)]
    secret: bool,
    /// This public key file instead of the newest key of the cache
    #[arg(long, value_name = "FILE", conflicts_with = "origin")]
    pubfile: Option<PathBuf>,
    /// This secret key file
    #[arg(long, value_name = "FILE", conflicts_with = "origin")]
    secfile: Option<PathBuf>,
    #[command(flatten)]
    depot: DepotOptions,
}

/// Keys from a depot.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Download {
    /// The origin
    #[arg(value_name = "ORIGIN")]
    origin: String,
    /// Which key, 14 digits [default: the newest]
    #[arg(value_name = "REVISION", conflicts_with = "secret")]
    revision: Option<String>,
    /// The newest secret key instead
    #[arg(short, long)]
    secret: bool,
    /// Trust this key, which was compared with its owner: KEY=FINGERPRINT, as the refusal shows it
    #[arg(long, value_name = "KEY=FINGERPRINT", conflicts_with = "secret")]
    trust: Vec<String>,
    #[command(flatten)]
    depot: DepotOptions,
}

/// The next list of an origin's keys.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Certify {
    /// The origin, whose secret key is on this host
    #[arg(value_name = "ORIGIN")]
    origin: String,
    /// Let a key count no more: its name and revision; may be repeated. It does not come back by itself
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Let a key that was removed count again
    #[arg(long, value_name = "KEY", conflicts_with = "remove")]
    add: Vec<String>,
    #[command(flatten)]
    depot: DepotOptions,
}

pub(super) fn upload(global: &Global, args: &Upload) -> Result<(), CliError> {
    let keys = key::cache(global)?;
    let mut files = Vec::new();
    for (path, kind) in [(&args.pubfile, KeyKind::SigPublic), (&args.secfile, KeyKind::SigSecret)] {
        if let Some(path) = path {
            files.push(read(path, kind)?);
        }
    }
    if let Some(origin) = &args.origin {
        check_origin(origin)?;
        files.push(newest(&keys, origin, KeyKind::SigPublic)?);
        if args.secret {
            files.push(newest(&keys, origin, KeyKind::SigSecret)?);
        }
    }
    let client = args.depot.client()?;
    block_on(async {
        for file in files {
            let is_new = client.put_key(&file.id, file.to_text(), file.kind.is_secret()).await?;
            let what = if is_new { "is at" } else { "was there already:" };
            output::line(format_args!("{}, {}, {what} {}", file.id, file.kind.words(), client.url()));
        }
        Ok(())
    })
}

fn read(path: &Path, kind: KeyKind) -> Result<KeyFile, CliError> {
    let text =
        crate::host::small_file::read_to_string(path).map_err(CliError::io(path.display().to_string()))?;
    let file = KeyFile::parse(&text, path)?;
    if file.kind != kind {
        return Err(crate::keys::KeyError::Kind { path: path.to_owned(), is: file.kind, wanted: kind }.into());
    }
    Ok(file)
}

fn newest(keys: &KeyCache, origin: &str, kind: KeyKind) -> Result<KeyFile, CliError> {
    let text = keys.export(origin, kind)?;
    Ok(KeyFile::parse(&text, keys.dir())?)
}

pub(super) fn download(global: &Global, args: &Download) -> Result<(), CliError> {
    check_origin(&args.origin)?;
    let (root, client) = (global.root()?, args.depot.client()?);
    let text = block_on(async {
        Ok(if args.secret {
            client.secret_key(&args.origin).await?
        } else {
            client.key(&args.origin, args.revision.as_deref()).await?
        })
    })?;
    let text = text.ok_or_else(|| {
        Error::NotFound(format!("the depot {} has no such key of {}", client.url(), args.origin))
    })?;
    let kind = if args.secret { KeyKind::SigSecret } else { KeyKind::SigPublic };
    let from = PathBuf::from(format!("the key from {}", client.url()));
    let file = KeyFile::parse(&text, &from)?;
    if file.id.name() != args.origin
        || args.revision.as_ref().is_some_and(|revision| file.id.revision() != revision)
    {
        let reason = format!("it gives the key {}, and another was asked for", file.id);
        return Err(Error::Nonsense { url: client.url().to_string(), reason }.into());
    }
    let mut note = String::new();
    if file.kind == KeyKind::SigPublic {
        let fingerprint = compare(&root, &client, &file, &args.trust)?;
        note = format!(", fingerprint {fingerprint}");
    }
    let imported = KeyCache::new(root.keys()).import(&text, &from, &[kind])?;
    let what = if imported.was_there { "was here already" } else { "is here now" };
    output::line(format_args!(
        "{}, {}{note}, {what}: {}",
        imported.id,
        kind.words(),
        imported.path.display()
    ));
    Ok(())
}

/// Checks that a public key which a depot gives may be trusted here: as the first one of its origin, by the origin's list, or by
/// an operator who has compared it. Returns its fingerprint.
fn compare(root: &Root, client: &Client, file: &KeyFile, trusted: &[String]) -> Result<String, CliError> {
    let mut progress = Progress::default();
    block_on(async { Ok(Fetching::new(root, client, &mut progress).follow(file.id.name()).await?) })?;
    let Some(key) = PublicKey::from_bytes(file.bytes()) else {
        let reason = format!("{} is no key", file.id);
        return Err(Error::Nonsense { url: client.url().to_string(), reason }.into());
    };
    let fingerprint = fingerprint(&key);
    if Pins::new(root).may_trust(&file.id, &key, trusted)? {
        return Ok(fingerprint);
    }
    let reason = format!(
        "this host trusts other keys of {}: compare the key with its owner (fingerprint {fingerprint}), then give --trust \
         {}={fingerprint}",
        file.id.name(),
        file.id
    );
    Err(Error::Distrusted { url: client.url().to_string(), what: file.id.to_string(), reason }.into())
}

pub(super) fn certify(global: &Global, args: &Certify) -> Result<(), CliError> {
    check_origin(&args.origin)?;
    let root = global.root()?;
    let (keys, pins) = (KeyCache::new(root.keys()), Pins::new(&root));
    let client = args.depot.client()?;
    block_on(async {
        let before = level(&root, &client, &args.origin).await?;
        let channel_key = client.channel_key(&args.origin).await?;
        let (signer, secret) = signer(&keys, &args.origin, before.as_ref())?;
        let (origin_keys, channel_keys) =
            next(&keys, args, before.as_ref(), &gone(&pins, &args.origin, before.as_ref())?, channel_key)?;
        if !origin_keys.iter().any(|key| key.id == signer.to_string()) {
            return Err(CliError::Usage(format!("{signer} signs this list, so it has to stay in it")));
        }
        let (old_origin, old_channel) =
            before.as_ref().map(|list| (list.origin_keys(), list.channel_keys())).unwrap_or_default();
        if let Some(list) = &before
            && (old_origin, old_channel) == (&origin_keys[..], &channel_keys[..])
        {
            output::line(format_args!(
                "list {} of the keys of {} is at {} already, and there is nothing to change",
                list.number(),
                args.origin,
                client.url()
            ));
            return Ok(());
        }
        let number = before.as_ref().map_or(1, |list| list.number() + 1);
        let changes = changes(old_origin, &origin_keys);
        let count = origin_keys.len();
        let text = OriginList::sign(
            (&args.origin, number),
            origin_keys,
            channel_keys,
            (&signer, &secret),
            clock::wall(),
        );
        let held_back = client.put_list(&args.origin, text.clone()).await?;
        pins.accept_list(&args.origin, &text)?.map_err(CliError::Usage)?;
        output::line(format_args!(
            "list {number} of the keys of {} is at {}: {count} keys sign its packages, and the depot may say what its channels hold",
            args.origin,
            client.url()
        ));
        changes.iter().for_each(output::line);
        for line in held_back {
            eprintln!(
                "warning: no host installs {line}: promote one that another key has signed, and demote it"
            );
        }
        Ok(())
    })
}

fn changes(before: &[ListedKey], now: &[ListedKey]) -> Vec<String> {
    let came = now.iter().filter(|key| !before.contains(key));
    let went = before.iter().filter(|key| !now.contains(key));
    let came = came.map(|key| format!("{} counts from now on", key.id));
    came.chain(went.map(|key| format!("{} counts no more", key.id))).collect()
}

/// Lets the depot and this host know the same lists: brings what the depot has beyond this host's, or gives it those that it
/// has not seen yet. Returns the newest.
async fn level(root: &Root, client: &Client, origin: &str) -> Result<Option<OriginList>, CliError> {
    let pins = Pins::new(root);
    let (text, own) = (client.list(origin, None).await?, pins.lists(origin)?);
    let there = match &text {
        Some(text) => OriginList::parse(text)
            .map_err(|reason| Error::Nonsense { url: client.url().to_string(), reason })?
            .number(),
        None => 0,
    };
    let pinned = pins.list(origin)?.map_or(0, |list| list.number());
    if there > pinned || pinned == 0 {
        let mut progress = Progress::default();
        Fetching::new(root, client, &mut progress).follow(origin).await?;
        return Ok(pins.list(origin)?);
    }
    if text.is_some() && own.get(&there) != text.as_ref() {
        let reason = format!(
            "its list of keys number {there} is another one than this host knows: one of them was made by another owner of the \
             origin, or beside another depot"
        );
        let (url, what) = (client.url().to_string(), origin.to_owned());
        return Err(Error::Distrusted { url, what, reason }.into());
    }
    for number in there + 1..=pinned {
        let Some(text) = own.get(&number) else {
            return Err(CliError::Usage(format!(
                "{} does not have list {number} of the keys of {origin}, and neither has this host: run this on the host that \
                 made it",
                client.url()
            )));
        };
        if number == 1 {
            let list = OriginList::parse(text).map_err(CliError::Usage)?;
            let file =
                list.origin_keys().iter().filter_map(ListedKey::file).find(|key| key.id == *list.signer());
            if let Some(file) = file {
                client.put_key(&file.id, file.to_text(), false).await?;
            }
        }
        client.put_list(origin, text.clone()).await?;
        output::line(format_args!("list {number} of the keys of {origin} is at {} now, too", client.url()));
    }
    Ok(pins.list(origin)?)
}

/// The keys that lists named once, and the newest one does not.
fn gone(pins: &Pins, origin: &str, newest: Option<&OriginList>) -> Result<BTreeSet<String>, CliError> {
    let mut gone = BTreeSet::new();
    for text in pins.lists(origin)?.values() {
        let list = OriginList::parse(text).map_err(CliError::Usage)?;
        gone.extend(list.origin_keys().iter().map(|key| key.id.clone()));
    }
    for key in newest.map(OriginList::origin_keys).unwrap_or_default() {
        gone.remove(&key.id);
    }
    Ok(gone)
}

/// The newest secret key of this host that the list before names.
fn signer(
    keys: &KeyCache,
    origin: &str,
    before: Option<&OriginList>,
) -> Result<(KeyId, SecretKey), CliError> {
    let mut own = keys.revisions(origin, KeyKind::SigSecret)?;
    own.reverse();
    let counts =
        |id: &KeyId| before.is_none_or(|list| list.origin_keys().iter().any(|key| key.id == id.to_string()));
    let Some(id) = own.iter().find(|id| counts(id)) else {
        return Err(match before {
            Some(list) => CliError::Usage(format!(
                "this host has no secret key of {origin} that list {} names: {}",
                list.number(),
                list.origin_keys().iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ")
            )),
            None => keys.export(origin, KeyKind::SigSecret).map_or_else(CliError::from, |_| {
                CliError::Usage(format!("this host has no secret key of {origin}"))
            }),
        });
    };
    let file = keys.load(id, KeyKind::SigSecret)?;
    let secret = SecretKey::from_bytes(file.bytes());
    let secret = secret.ok_or_else(|| CliError::Usage(format!("{id} is no key that can sign")))?;
    Ok((id.clone(), secret))
}

/// The keys of the next list: those of the one before, all public ones of this host that were not removed, and the depot's.
fn next(
    keys: &KeyCache,
    args: &Certify,
    before: Option<&OriginList>,
    gone: &BTreeSet<String>,
    channel_key: ListedKey,
) -> Result<(Vec<ListedKey>, Vec<ListedKey>), CliError> {
    let mut origin_keys = before.map(|list| list.origin_keys().to_vec()).unwrap_or_default();
    for id in keys.revisions(&args.origin, KeyKind::SigPublic)? {
        let (name, file) = (id.to_string(), keys.load(&id, KeyKind::SigPublic)?);
        let Some(public) = PublicKey::from_bytes(file.bytes()) else { continue };
        let key = ListedKey::new(&id, &public);
        if !origin_keys.contains(&key) && (!gone.contains(&name) || args.add.contains(&name)) {
            origin_keys.push(key);
        }
    }
    let mut channel_keys = before.map(|list| list.channel_keys().to_vec()).unwrap_or_default();
    if !channel_keys.contains(&channel_key) {
        channel_keys.push(channel_key);
    }
    let is_known = |name: &String| origin_keys.iter().chain(&channel_keys).any(|key| key.id == *name);
    if let Some(unknown) = args.add.iter().find(|name| !is_known(name)) {
        return Err(CliError::Usage(format!(
            "this host has no public key {unknown}: `annulus origin key import` brings it"
        )));
    }
    if let Some(unknown) = args.remove.iter().find(|name| !is_known(name)) {
        return Err(CliError::Usage(format!(
            "{unknown} is not in the list of keys of {}, so it cannot be removed",
            args.origin
        )));
    }
    let stays = |key: &ListedKey| !args.remove.contains(&key.id);
    origin_keys.retain(stays);
    channel_keys.retain(stays);
    Ok((origin_keys, channel_keys))
}
