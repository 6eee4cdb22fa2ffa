//! What a depot has to know of an origin: its keys (`annulus origin key upload|download`), and by one signed list which of them
//! count, and which key of the depot says what the origin's channels hold (`annulus origin certify`).

use std::path::{Path, PathBuf};

use super::depot::options::DepotOptions;
use super::depot::progress::Progress;
use super::{CliError, Global, block_on, key, output};
use crate::depot::client::Client;
use crate::depot::{Error, ListedKey, OriginList, Pins, Report as _, check_origin};
use crate::host::clock;
use crate::keys::crypto::SecretKey;
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
    #[command(flatten)]
    depot: DepotOptions,
}

/// The next list of an origin's keys.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Certify {
    /// The origin, whose secret key is on this host
    #[arg(value_name = "ORIGIN")]
    origin: String,
    /// Let a key count no more: its name and revision; may be repeated
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
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
    let client = args.depot.client()?;
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
    let imported = key::cache(global)?.import(&text, &from, &[kind])?;
    let what = if imported.was_there { "was here already" } else { "is here now" };
    output::line(format_args!("{}, {}, {what}: {}", imported.id, kind.words(), imported.path.display()));
    Ok(())
}

pub(super) fn certify(global: &Global, args: &Certify) -> Result<(), CliError> {
    check_origin(&args.origin)?;
    let root = global.root()?;
    let (keys, pins) = (KeyCache::new(root.keys()), Pins::new(&root));
    let client = args.depot.client()?;
    let (number, count) = block_on(async {
        let before = follow(&client, &pins, &args.origin).await?;
        let channel_key = client.channel_key(&args.origin).await?;
        let (signer, secret) = signer(&keys, &args.origin, before.as_ref())?;
        let next = next(&keys, args, before.as_ref(), channel_key)?;
        if !next.0.iter().any(|key| key.id == signer.to_string()) {
            return Err(CliError::Usage(format!("{signer} signs this list, so it has to stay in it")));
        }
        let number = before.map_or(1, |list| list.number() + 1);
        let count = next.0.len();
        let text =
            OriginList::sign((&args.origin, number), next.0, next.1, (&signer, &secret), clock::wall());
        client.put_list(&args.origin, text.clone()).await?;
        pins.accept_list(&args.origin, &text)?.map_err(CliError::Usage)?;
        Ok((number, count))
    })?;
    output::line(format_args!(
        "list {number} of the keys of {} is at {}: {count} keys sign its packages, and the depot may say what its channels hold",
        args.origin,
        client.url()
    ));
    Ok(())
}

/// The newest list that the depot has, where it follows what this host knows.
async fn follow(client: &Client, pins: &Pins, origin: &str) -> Result<Option<OriginList>, CliError> {
    let Some(text) = client.list(origin, None).await? else { return Ok(None) };
    let newest = OriginList::parse(&text)
        .map_err(|reason| Error::Nonsense { url: client.url().to_string(), reason })?;
    let first = pins.list(origin)?.map_or(newest.number(), |list| list.number() + 1);
    let mut progress = Progress::default();
    for number in first..=newest.number() {
        let text = client.list(origin, Some(number)).await?.unwrap_or_default();
        match pins.accept_list(origin, &text)? {
            Ok(note) => note.iter().for_each(|note| progress.say(note)),
            Err(reason) => {
                let (url, what) = (client.url().to_string(), origin.to_owned());
                return Err(Error::Distrusted { url, what, reason }.into());
            }
        }
    }
    Ok(pins.list(origin)?)
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

/// The keys of the next list: those of the one before, all public ones of this host, and the depot's.
fn next(
    keys: &KeyCache,
    args: &Certify,
    before: Option<&OriginList>,
    channel_key: ListedKey,
) -> Result<(Vec<ListedKey>, Vec<ListedKey>), CliError> {
    let mut origin_keys = before.map(|list| list.origin_keys().to_vec()).unwrap_or_default();
    for id in keys.revisions(&args.origin, KeyKind::SigPublic)? {
        let key = ListedKey::new(&id, &keys.origin_public(&id)?);
        if !origin_keys.contains(&key) {
            origin_keys.push(key);
        }
    }
    let mut channel_keys = before.map(|list| list.channel_keys().to_vec()).unwrap_or_default();
    if !channel_keys.contains(&channel_key) {
        channel_keys.push(channel_key);
    }
    for removed in &args.remove {
        let known = origin_keys.iter().chain(&channel_keys).any(|key| key.id == *removed);
        if !known {
            return Err(CliError::Usage(format!(
                "{removed} is not in the list of keys of {}, so it cannot be removed",
                args.origin
            )));
        }
    }
    let stays = |key: &ListedKey| !args.remove.contains(&key.id);
    origin_keys.retain(stays);
    channel_keys.retain(stays);
    Ok((origin_keys, channel_keys))
}
