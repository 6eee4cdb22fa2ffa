//! Finds the supervisor that a command is for, and connects to it. Shows the secret to no other process.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use clap::Args;
use tokio::time::timeout;

use super::{CliError, Global};
use crate::gateway::ctl::address_file;
use crate::gateway::ctl::client::{CTL_PORT, Client, ClientError, ClientTls};
use crate::gateway::ctl::secret::Secret;
use crate::gateway::tls::ClientFiles;
use crate::host::clock;
use crate::host::root::SupDir;
use crate::host::secret_env::CTL_SECRET_ENV;
use crate::host::{lock, look, small_file};
use crate::keys::{KeyCache, RingKey};
use crate::launcher::identity;
use crate::sup_run;

/// A supervisor of this host that has not answered by then is told of.
const SILENCE: Duration = Duration::from_millis(800);

/// Names a supervisor by the address of its ctl gateway.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Remote {
    /// Address of the supervisor's ctl gateway [default: HAB_LISTEN_CTL, else the socket of the local supervisor of this
    /// root and name]
    #[arg(short, long, value_name = "HOST[:9632]")]
    remote_sup: Option<String>,
    /// The ring of that supervisor: what is said to an address is sealed with its newest key in the key cache. HAB_RING_KEY holds
    /// a key instead
    #[arg(long, env = "HAB_RING", value_name = "NAME")]
    ring: Option<String>,
    #[command(flatten)]
    tls: TlsOptions,
}

/// How TLS is spoken with a supervisor at an address.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "TLS with a supervisor at an address")]
pub(crate) struct TlsOptions {
    /// The authorities that may have signed its certificate, PEM; with them TLS is spoken
    #[arg(long, env = "HAB_CTL_SERVER_CA_CERTIFICATE", value_name = "FILE")]
    ctl_server_ca_certificate: Option<PathBuf>,
    /// The name that its certificate is for [default: the host of its address]
    #[arg(
        long,
        alias = "ctl-server-name-indication",
        env = "HAB_CTL_SERVER_NAME_INDICATION",
        value_name = "NAME"
    )]
    #[arg(requires = "ctl_server_ca_certificate")]
    ctl_server_name: Option<String>,
    /// A certificate to show, PEM, where it asks for one
    #[arg(long, env = "HAB_CTL_CLIENT_CERTIFICATE", value_name = "FILE", requires = "ctl_client_key")]
    #[arg(requires = "ctl_server_ca_certificate")]
    ctl_client_certificate: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, env = "HAB_CTL_CLIENT_KEY", value_name = "FILE", requires = "ctl_client_certificate")]
    ctl_client_key: Option<PathBuf>,
}

impl TlsOptions {
    fn tls(&self) -> Option<ClientTls> {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let authorities = given(&self.ctl_server_ca_certificate)?;
        let own = given(&self.ctl_client_certificate).zip(given(&self.ctl_client_key));
        let name = self.ctl_server_name.clone().filter(|name| !name.is_empty());
        Some(ClientTls { files: ClientFiles { authorities, own }, name })
    }
}

impl Remote {
    /// The supervisor at an address, or of this host, with options that are named otherwise.
    pub(crate) fn of(remote_sup: Option<String>, ring: Option<String>, tls: TlsOptions) -> Self {
        Self { remote_sup, ring, tls }
    }

    /// Whether an option or the environment names an address.
    pub(crate) fn is_named(&self) -> bool {
        self.remote_sup.is_some() || set("HAB_LISTEN_CTL").is_some()
    }
}

/// A variable's value; empty counts as unset.
fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Connects to the supervisor that the options name.
pub(crate) async fn connect(global: &Global, remote: &Remote) -> Result<Client, CliError> {
    let sup = global.sup()?;
    if let Some(named) = remote.remote_sup.clone().or_else(|| set("HAB_LISTEN_CTL")) {
        check_address(&named)?;
        return over_tcp(&sup, &with_port(&named), remote.tls.tls().as_ref(), ring(global, remote)?).await;
    }
    match connect_local(&sup, || ring(global, remote)).await? {
        Some(client) => Ok(client),
        None => {
            let root = global.root()?.path().to_owned();
            Err(CliError::NotRunning { root, name: global.name().to_owned() })
        }
    }
}

/// Connects to the supervisor with this directory, if it runs.
///
/// Its socket is the way, which asks for no secret. A user who may not open that, but was given the secret, takes the
/// address that the supervisor left; so does each where a supervisor of an older version runs, which has no socket.
pub(super) async fn connect_local(
    sup: &SupDir,
    ring: impl FnOnce() -> Result<Option<RingKey>, CliError>,
) -> Result<Option<Client>, CliError> {
    // Where a dead supervisor listened, another program may listen by now, which must not see the secret.
    if lock::held_by(sup).map_err(CliError::io(sup.lock().display().to_string()))?.is_none() {
        return Ok(None);
    }
    let error = match patiently(sup, Client::connect_local(&sup.ctl_socket())).await {
        Ok(client) => return Ok(Some(client)),
        Err(error) => error,
    };
    let is_other_way = match &error {
        ClientError::NotPermitted { .. } => set(CTL_SECRET_ENV).is_some(),
        ClientError::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    };
    if !is_other_way {
        return Err(error.into());
    }
    let path = address_file(sup);
    match small_file::read_to_string(&path) {
        Ok(text) => over_tcp(sup, &with_port(text.trim()), None, ring()?).await.map(Some),
        // It starts, and listens nowhere yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Another supervisor may listen at the usual address.
        Err(error) => Err(CliError::io(path.display().to_string())(error)),
    }
}

/// Waits for what a supervisor of this host answers at once, unless it stands still or is kept up: that is said before the
/// wait is over.
async fn patiently<T>(sup: &SupDir, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(SILENCE, &mut work).await {
        return done;
    }
    let why = sup_run::pid(sup).map_or_else(String::new, |pid| format!(": {}", identity::why_silent(pid)));
    eprintln!("annulus: waiting: the supervisor does not answer{why}");
    work.await
}

/// Connects to an address, with the secret that the environment or this supervisor's directory holds.
async fn over_tcp(
    sup: &SupDir,
    addr: &str,
    tls: Option<&ClientTls>,
    ring: Option<RingKey>,
) -> Result<Client, CliError> {
    let secret = match set(CTL_SECRET_ENV) {
        Some(secret) => Secret::new(secret),
        None if is_there(&sup.ctl_secret())? => Secret::load(&sup.ctl_secret())?,
        None => return Err(CliError::NoSecret { addr: addr.to_owned() }),
    };
    Ok(Client::connect(addr, secret.reveal(), tls, ring.as_ref()).await?)
}

/// The key of the ring that the options or the environment name.
fn ring(global: &Global, remote: &Remote) -> Result<Option<RingKey>, CliError> {
    Ok(RingKey::given(remote.ring.as_deref(), &KeyCache::new(global.root()?.keys()), clock::wall())?)
}

/// Whether something is at a path.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn is_there(path: &Path) -> Result<bool, CliError> {
    let looked = look::meta(path).map_err(CliError::io(path.display().to_string()))?;
    Ok(looked.is_some())
}

/// What cannot be an address is not looked up.
fn check_address(addr: &str) -> Result<(), CliError> {
    let (host, port) = match addr.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (addr, None),
    };
    let odd = host.chars().find(|c| !c.is_alphanumeric() && !"-_.:[]%".contains(*c));
    let why = if host.is_empty() {
        "it names no host".to_owned()
    } else if let Some(odd) = odd.or_else(|| addr.chars().find(|c| "/ ".contains(*c))) {
        format!("{odd:?} is in no address")
    } else if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        "its port is not a number from 0 to 65535".to_owned()
    } else {
        return Ok(());
    };
    Err(CliError::Usage(format!("{addr:?} is not the address of a ctl gateway, HOST or HOST:PORT: {why}")))
}

/// Adds the usual port to a host that names none, and turns "every interface" into this host.
fn with_port(addr: &str) -> String {
    if let Ok(mut socket) = addr.parse::<std::net::SocketAddr>() {
        if socket.ip().is_unspecified() {
            socket.set_ip(if socket.is_ipv6() {
                std::net::Ipv6Addr::LOCALHOST.into()
            } else {
                std::net::Ipv4Addr::LOCALHOST.into()
            });
        }
        return socket.to_string();
    }
    match addr.parse::<std::net::IpAddr>() {
        Ok(ip) => std::net::SocketAddr::new(ip, CTL_PORT).to_string(),
        Err(_) if addr.contains(':') => addr.to_owned(),
        Err(_) => format!("{addr}:{CTL_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_address, with_port};

    #[test]
    fn a_host_without_port_means_the_usual_one() {
        assert_eq!(with_port("10.0.0.1"), "10.0.0.1:9632");
        assert_eq!(with_port("alpha"), "alpha:9632");
        assert_eq!(with_port("alpha:1"), "alpha:1");
        assert_eq!(with_port("::1"), "[::1]:9632");
        assert_eq!(with_port("0.0.0.0:7"), "127.0.0.1:7");
    }

    #[test]
    fn what_cannot_be_an_address_is_said() {
        for good in ["alpha", "alpha:1", "10.0.0.1:9632", "::1", "[::1]:7", "fe80::1%eth0", "a_b.example.com"]
        {
            check_address(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (bad, why) in [
            ("http://x", "'/'"),
            ("127.0.0.1:99999", "port"),
            ("alpha:", "port"),
            ("", "no host"),
            (":9632", "no host"),
            ("two words", "' '"),
        ] {
            let error = check_address(bad).expect_err(bad);
            assert!(error.to_string().contains(why) && error.exit_code() == 2, "{bad}: {error}");
        }
    }
}
