//! `annulus pkg upload FILE…`: gives a depot packages, with what they need as far as the artifact cache has it, and puts them
//! into a channel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use annulus_core::PackageIdent;

use crate::cli::depot::options::DepotOptions;
use crate::cli::depot::progress;
use crate::cli::{CliError, Outcome, block_on, output};
use crate::depot::client::Client;
use crate::depot::{Error, STABLE, UNSTABLE, check_channel};
use crate::host::root::Root;
use crate::keys::crypto::{self, Hash};
use crate::keys::{KeyCache, KeyId, KeyKind};
use crate::package::{self, Hart, Limits, MetaFile, inspect};

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Package files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Put them into this channel as well; everything uploaded is in unstable
    #[arg(short, long, value_name = "CHANNEL")]
    channel: Option<String>,
    #[command(flatten)]
    depot: DepotOptions,
}

pub(super) fn run(root: &Root, args: &Args) -> Outcome {
    let client = args.depot.client()?;
    if let Some(channel) = &args.channel {
        check_channel(channel)?;
    }
    // All are looked into before the first one goes.
    let files: Vec<Looked> = args.files.iter().map(|file| look(root, file)).collect::<Result<_, _>>()?;
    block_on(async {
        let mut uploading = Uploading { root, client: &client, done: BTreeSet::new() };
        for file in &files {
            for need in &file.needs {
                uploading.need(need).await.map_err(|error| needed(error, &file.ident, need))?;
            }
            uploading.one(file).await?;
            if let Some(channel) = args.channel.as_deref().filter(|channel| *channel != UNSTABLE) {
                promote(&client, &file.ident, &file.target, channel).await?;
            }
        }
        Ok(0)
    })
}

/// Puts a package into a channel, which is made where it is not there.
pub(super) async fn promote(
    client: &Client,
    ident: &PackageIdent,
    target: &str,
    channel: &str,
) -> Result<(), CliError> {
    if channel != STABLE && channel != UNSTABLE {
        client.make_channel(ident.origin(), channel).await?;
    }
    client.set_channel(ident, target, channel, true).await?;
    output::line(format_args!("{ident} is in the channel {channel} of {} now", client.url()));
    Ok(())
}

/// Says which package needs the one that a depot does not take.
fn needed(error: CliError, by: &PackageIdent, need: &PackageIdent) -> CliError {
    match error {
        CliError::Depot(Error::Answer { url, status, reason }) => CliError::Depot(Error::Answer {
            url,
            status,
            reason: format!(
                "{reason}; {by} needs {need}, which this depot does not have: upload that one first, with a token for packages of {}",
                need.origin()
            ),
        }),
        other => other,
    }
}

/// A file that was looked into.
struct Looked {
    path: PathBuf,
    ident: PackageIdent,
    target: String,
    signer: KeyId,
    checksum: Hash,
    needs: Vec<PackageIdent>,
}

fn look(root: &Root, path: &Path) -> Result<Looked, CliError> {
    let mut hart = Hart::open(path)?;
    let signed = hart.verify(&KeyCache::new(root.keys()))?;
    let said = inspect(&mut hart, Limits::default())?;
    let mut file = std::fs::File::open(path).map_err(CliError::io(path.display().to_string()))?;
    let checksum = crypto::hash_reader(&mut file).map_err(CliError::io(path.display().to_string()))?;
    let lines = |metafile| said.metafiles.get(&metafile).map_or("", String::as_str);
    let target = lines(MetaFile::Target).trim();
    Ok(Looked {
        path: path.to_owned(),
        target: if target.is_empty() { package::host_target() } else { target.to_owned() },
        signer: signed.signer,
        checksum,
        needs: lines(MetaFile::Tdeps).lines().filter_map(|line| line.trim().parse().ok()).collect(),
        ident: said.ident,
    })
}

struct Uploading<'a> {
    root: &'a Root,
    client: &'a Client,
    done: BTreeSet<PackageIdent>,
}

impl Uploading<'_> {
    /// Sees that the depot has what a package needs.
    async fn need(&mut self, ident: &PackageIdent) -> Result<(), CliError> {
        let target = package::host_target();
        if self.done.contains(ident) || self.client.latest(UNSTABLE, ident, &target).await?.is_some() {
            return Ok(());
        }
        let name = format!("{}-{target}.hart", ident.to_string().replace('/', "-"));
        let path = self.root.artifacts().join(name);
        if !path.is_file() {
            eprintln!(
                "warning: the depot does not have {ident}, which is needed, and {} is not here: upload it, too",
                path.display()
            );
            return Ok(());
        }
        self.one(&look(self.root, &path)?).await
    }

    async fn one(&mut self, file: &Looked) -> Result<(), CliError> {
        let (ident, url) = (&file.ident, self.client.url());
        if let Some(there) = self.client.latest(UNSTABLE, ident, &file.target).await? {
            if there.hash() != Some(file.checksum) {
                return Err(Error::Conflict(format!(
                    "{url} has {ident} with other content, which is never replaced: build it again, which gives it a new release"
                ))
                .into());
            }
            output::line(format_args!("{ident} is at {url} already"));
            self.done.insert(ident.clone());
            return Ok(());
        }
        let keys = KeyCache::new(self.root.keys());
        let key = keys.load(&file.signer, KeyKind::SigPublic)?;
        if self.client.put_key(&file.signer, key.to_text(), false).await? {
            output::line(format_args!("{} is at {url} now, for checking what it signed", file.signer));
        }
        let bar =
            progress::bar(&ident.to_string(), std::fs::metadata(&file.path).ok().map(|meta| meta.len()));
        let sent = bar.clone();
        let done = self
            .client
            .upload((ident, &file.target), &file.checksum, &file.path, move |bytes| sent.set_position(bytes))
            .await;
        bar.finish_and_clear();
        done?;
        output::line(format_args!("{ident} is at {url} now"));
        self.done.insert(ident.clone());
        Ok(())
    }
}
