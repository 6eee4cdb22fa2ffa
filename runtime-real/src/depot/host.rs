//! Brings a package to this host and installs it: what a supervisor and the commands do in the same way.

use annulus_core::PackageIdent;

use super::client::{Client, TOKEN_ENV};
use super::fetch::{Fetching, Report, Wanted};
use super::{Error, UNSTABLE};
use crate::host::root::Root;
use crate::package::{self, Limits, Source};

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Report for Quiet {
    fn say(&mut self, line: &str) {
        match line.strip_prefix("warning: ") {
            Some(line) => tracing::warn!("{line}"),
            None => tracing::info!("{line}"),
        }
    }

    fn come(&mut self, _: &PackageIdent, _: u64, _: Option<u64>) {}
}

/// The depot at this address, with the token of this process's environment.
///
/// # Errors
/// The address is malformed.
pub fn client(url: &str) -> Result<Client, Error> {
    Ok(Client::new(url.parse()?, std::env::var(TOKEN_ENV).ok()))
}

/// Finds the newest package of a channel that fits, brings it with all that it needs, and installs it. Returns its build.
///
/// # Errors
/// The depot cannot be asked, has none, or what it gives is not to be believed; the disk refuses.
pub async fn install_newest(
    root: &Root,
    url: &str,
    channel: &str,
    ident: &PackageIdent,
) -> Result<PackageIdent, Error> {
    super::check_channel(channel)?;
    let (depot, mut report) = (client(url)?, Quiet);
    // One build that is named is meant, whichever channel it is in.
    let channel = if ident.is_fully_qualified() { UNSTABLE } else { channel };
    let mut fetching = Fetching::new(root, &depot, &mut report);
    let Some(wanted) = fetching.look(ident, channel, None).await?.newest else {
        return Err(Error::NotFound(format!(
            "the channel {channel} of {} at {} has no {ident}",
            ident.origin(),
            depot.url()
        )));
    };
    fetching.bring(&wanted).await?;
    install(root, &wanted).await?;
    Ok(wanted.ident)
}

/// Installs a package that lies in the artifact cache.
///
/// # Errors
/// It cannot be installed.
pub async fn install(root: &Root, wanted: &Wanted) -> Result<(), Error> {
    let (root, ident) = (root.clone(), wanted.ident.clone());
    let installing = tokio::task::spawn_blocking(move || {
        if package::newest(&root, &ident).is_ok() {
            return Ok(());
        }
        package::install(&root, &Source::Ident(ident), Limits::default()).map(drop)
    });
    let done =
        installing.await.map_err(|e| Error::BadRequest(format!("the installation was given up: {e}")))?;
    Ok(done?)
}
