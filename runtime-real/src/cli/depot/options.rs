//! Which depot is asked, and with which token: the same options everywhere.

use crate::cli::CliError;
use crate::depot::Error;
use crate::depot::client::{CHANNEL_ENV, Client, TOKEN_ENV, URL_ENV};

/// Which depot is asked.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Depot")]
pub(in crate::cli) struct DepotOptions {
    /// Address of the depot, http:// or https://
    #[arg(short, long, env = URL_ENV, value_name = "URL")]
    url: Option<String>,
    /// Token for the depot
    #[arg(short = 'z', long = "auth", env = TOKEN_ENV, value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl DepotOptions {
    /// Whether a depot is named.
    pub(in crate::cli) fn is_named(&self) -> bool {
        self.url.as_deref().is_some_and(|url| !url.trim().is_empty())
    }

    /// The depot.
    ///
    /// # Errors
    /// None is named, or its address is malformed.
    pub(in crate::cli) fn client(&self) -> Result<Client, CliError> {
        let url = self.url.as_deref().filter(|url| !url.trim().is_empty()).ok_or(Error::NoDepot)?;
        Ok(Client::new(url.parse()?, self.token.clone()))
    }
}

/// Which channel packages are taken from.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Depot")]
pub(in crate::cli) struct ChannelOption {
    /// The channel [default: stable]
    #[arg(short, long, env = CHANNEL_ENV, value_name = "CHANNEL")]
    channel: Option<String>,
}

impl ChannelOption {
    /// The channel.
    ///
    /// # Errors
    /// Its name is malformed.
    pub(in crate::cli) fn name(&self) -> Result<&str, CliError> {
        let name = self.channel.as_deref().filter(|name| !name.is_empty()).unwrap_or(crate::depot::STABLE);
        crate::depot::check_channel(name)?;
        Ok(name)
    }
}
