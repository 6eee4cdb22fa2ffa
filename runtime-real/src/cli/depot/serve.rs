//! `annulus depot serve`: serves a depot until it is told to end. Makes the directory where there is none.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::Dir;
use crate::cli::{CliError, Global, Outcome, block_on, output};
use crate::depot::store::Store;
use crate::gateway::depot::{self, Load, Rules, Service};
use crate::gateway::tls::{Files, Tls};
use crate::host::clock::Clock;
use crate::launcher;
use crate::net::{Listener as _, TokioTransport, Transport as _};
use crate::supervisor::logging;

pub(super) const HELP: &str = "\
Example, a depot for one origin:
  annulus depot token acme --role promote      on the depot's host; prints a token
  annulus depot serve --listen 0.0.0.0:9640    serves <root>/depot
  annulus pkg upload -u http://HOST:9640 -z TOKEN acme-web-1.0-20260101000000-x86_64-linux.hart
  annulus origin certify acme -u http://HOST:9640 -z TOKEN     once, where the origin's secret key is
  annulus pkg promote -u http://HOST:9640 -z TOKEN acme/web/1.0/20260101000000 stable
A copy of the directory without private/ is a mirror: this command serves it, too.
Exit codes: 0 ended in order, 1 failed, 2 wrong usage, 6 the address cannot be listened on";

/// Largest package, in MiB, where none is said.
const PACKAGE_MIB_DEFAULT: u64 = 4096;

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    dir: Dir,
    /// Address to listen on
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9640")]
    listen: SocketAddr,
    /// The certificate of the depot, PEM: it speaks TLS only
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Who reads needs a token, too
    #[arg(long)]
    private: bool,
    /// Largest package that is taken, in MiB
    #[arg(long, value_name = "MIB", default_value_t = PACKAGE_MIB_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    package_max: u64,
}

pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    logging::init_text();
    let store = Arc::new(Store::make(args.dir.tree(global)?)?);
    let tls = match (&args.cert_file, &args.key_file) {
        (Some(cert), Some(key)) => {
            let files = Files { cert: cert.clone(), key: key.clone(), authorities: None };
            Some(Tls::load(files, Clock::host()).map_err(|e| CliError::Usage(e.to_string()))?)
        }
        _ => None,
    };
    // A client needs a descriptor, and each file that goes out another one.
    if let Err(error) = launcher::raise_nofile() {
        tracing::warn!(%error, "the number of files that can be open at one time stays as it is");
    }
    block_on(async {
        let listening = TokioTransport::default().listen(args.listen).await;
        let listener = listening.map_err(|source| CliError::Listen { address: args.listen, source })?;
        let at = listener.local_addr().map_err(CliError::io("the depot's address"))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        output::line(format_args!("the depot {} is served at {scheme}://{at}", store.tree().dir().display()));
        if tls.is_none() && !at.ip().to_canonical().is_loopback() {
            eprintln!(
                "warning: tokens go over the network in the clear: give --cert-file and --key-file, or put a proxy with TLS before it"
            );
        }
        let rules = Rules { is_private: args.private, package_bytes_max: args.package_max << 20 };
        let service = Arc::new(Service::new(store, rules, Load::ALONE));
        let ended = async {
            let terminated =
                signal(SignalKind::terminate()).map_err(CliError::io("the signal TERM"))?.recv().await;
            Ok::<_, CliError>(terminated)
        };
        tokio::select! {
            () = depot::serve(listener, tls, service) => {}
            ended = ended => { ended?; }
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(0)
    })
}
