//! The ctl gateway: how operators give commands to a supervisor (as in Habitat). It checks the secret and the request,
//! passes the command to the supervisor's loop, and decides nothing itself.
//!
//! A client connects, shows who it is within ten seconds, sends one request, gets its replies, and the connection is
//! closed. Clients of other hosts show the secret; of those on the supervisor's own socket the kernel says who they are.

pub mod client;
pub mod config;
pub mod convert;
mod entrance;
pub mod frame;
pub mod group;
pub mod group_message;
mod group_seal;
mod invite;
pub mod invite_message;
pub mod key_message;
pub mod local;
pub mod message;
mod request;
mod ring;
mod ring_keys;
pub mod ring_message;
mod sealed;
pub mod secret;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::gateway::arrivals::{self, Arrivals, Client, Peer};
use crate::gateway::door::{self, Limits};
use crate::gateway::keyed::Keyed;
use crate::gateway::lookout::Lookout;
use crate::gateway::tls::Tls;
use crate::host::clock::Clock;
use crate::host::root::{Root, SupDir};
use crate::launcher::client::Client as Launcher;
use crate::prepare::Vault;
use crate::supervisor::handle::DriverHandle;
use crate::supervisor::ledger::Ledger;
use crate::supervisor::room::Room;
use crate::supervisor::specs::Specs;
use frame::{Frame, FrameError};
use message::{ConsoleLine, CtlMessage, ErrCode, Handshake, NetErr, NetOk};
use request::Answer;
use secret::Secret;

/// A client must have shown the secret, and then sent its request, within this.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// A request that takes longer than this is answered with an error.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A client is told that its request is still being carried out after this time …
const PROGRESS_FIRST: Duration = Duration::from_millis(800);
/// … and then so often.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
/// Clients at one time. One that has not shown the secret makes room for the next; when all have, more wait outside.
const CLIENTS: Limits = Limits { clients: 32, of_one_host: 32, of_one_user: 32, reserve: 0 };

/// The parts of a supervisor that the ctl gateway uses.
#[derive(Clone, Debug)]
pub struct Ctl {
    /// The supervisor.
    pub handle: DriverHandle,
    /// Its clock.
    pub clock: Clock,
    /// The root directory, which holds the packages.
    pub root: Root,
    /// Its spec files.
    pub specs: Arc<Specs>,
    /// The facts about services that the core does not keep.
    pub ledger: Ledger,
    /// Whether the disk takes what is to be stored.
    pub room: Room,
    /// The secret that a client must show.
    pub secret: Secret,
    /// What was seen of the ring and the node does not keep.
    pub lookout: Lookout,
    /// What is known of the key of the ring.
    pub keyed: Keyed,
    /// What opens what is sealed for service groups.
    pub vault: Arc<Vault>,
    /// Its clients are on this host, and are its own user or root.
    pub is_local: bool,
    /// Told when the supervisor is to be started again.
    pub restart: Arc<Notify>,
    /// What the next supervisor has to be able to start with.
    pub tls: Option<Tls>,
    /// Which has the directories of services; none where no processes are run.
    pub launcher: Option<Launcher>,
}

/// Serves clients until the returned future is dropped.
pub async fn serve(arrivals: impl Arrivals, tls: Option<Tls>, ctl: Ctl) {
    let ctl = Arc::new(ctl);
    arrivals::serve(arrivals, ("ctl", CLIENTS), tls, move |mut stream, client| {
        let ctl = Arc::clone(&ctl);
        async move {
            let peer = client.peer;
            if let Err(error) = entrance::serve(&mut stream, &client, &ctl).await {
                tracing::debug!(%peer, %error, "ctl client");
            }
            let _ = stream.shutdown().await;
        }
    })
    .await;
}

/// Writes the address where the command line looks for it, so that root and name alone tell several supervisors of one
/// host apart.
///
/// # Errors
/// The error of the operating system.
pub fn write_address(address: SocketAddr, sup: &SupDir) -> io::Result<()> {
    fs::write(address_file(sup), format!("{address}\n"))
}

/// The file that holds the address of a supervisor's ctl gateway while it runs.
#[must_use]
pub fn address_file(sup: &SupDir) -> PathBuf {
    sup.path().join("CTL_ADDR")
}

async fn serve_client(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    hello: &Frame,
    client: &Client,
    ctl: &Ctl,
) -> Result<(), FrameError> {
    let peer = client.peer;
    if let Err(refusal) = check_handshake(hello, peer, &ctl.secret) {
        tracing::warn!(%peer, reason = %refusal.msg, "ctl client refused");
        tokio::time::sleep(door::WRONG_SECRET_PAUSE).await;
        return reply(io, hello, &refusal, true).await;
    }
    client.guest.is_known();
    reply(io, hello, &NetOk {}, true).await?;
    let Some(request) = read_in_time(io).await? else { return Ok(()) };
    match answer(io, ctl, &request).await? {
        Ok(messages) => messages.write(io, &request).await,
        Err(refusal) => {
            tracing::info!(request = %request.id, reason = %refusal.msg, "ctl request refused");
            reply(io, &request, &refusal, true).await
        }
    }
}

/// Carries out a request. While the service drains or stops, the client is told how far that has come.
async fn answer(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ctl: &Ctl,
    request: &Frame,
) -> Result<Result<Answer, NetErr>, FrameError> {
    let mut work = std::pin::pin!(request::handle(ctl, request));
    let (mut waited, mut period) = (Duration::ZERO, PROGRESS_FIRST);
    loop {
        if let Ok(answer) = timeout(period, &mut work).await {
            return Ok(answer);
        }
        waited += period;
        period = PROGRESS_PERIOD;
        match request::progress(ctl, request).await {
            Some(line) => {
                reply(io, request, &ConsoleLine { line, color: None, bold: false }, false).await?;
            }
            None if waited < REQUEST_TIMEOUT => {
                if let Some(line) = request::storing(request, waited) {
                    reply(io, request, &ConsoleLine { line, color: None, bold: false }, false).await?;
                }
            }
            None => {
                let late = "the supervisor did not finish this within 60 seconds; it may still do so";
                return Ok(Err(NetErr::new(ErrCode::Internal, late)));
            }
        }
    }
}

/// One frame; none when the client went away or took too long.
async fn read_in_time(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, FrameError> {
    timeout(CLIENT_TIMEOUT, Frame::read(io)).await.unwrap_or(Ok(None))
}

fn check_handshake(frame: &Frame, peer: Peer, secret: &Secret) -> Result<(), NetErr> {
    if frame.id != Handshake::ID || frame.txn.is_none() {
        return Err(NetErr::new(
            ErrCode::Unauthorized,
            "the first message must be a Handshake in a transaction",
        ));
    }
    let hello = Handshake::decode(&frame.body[..])
        .map_err(|_| NetErr::new(ErrCode::BadPayload, "the Handshake does not decode"))?;
    match peer {
        Peer::Process { uid, .. } if local::may_command(uid) => Ok(()),
        Peer::Process { uid, .. } => Err(NetErr::new(
            ErrCode::Unauthorized,
            format!("user {uid} may not give this supervisor commands; its own user and root may"),
        )),
        Peer::Host { .. } if secret.matches(hello.secret_key.as_deref().unwrap_or_default()) => Ok(()),
        Peer::Host { .. } => Err(NetErr::new(ErrCode::Unauthorized, "secret key mismatch")),
    }
}

async fn reply<T: CtlMessage>(
    io: &mut (impl AsyncWrite + Unpin),
    request: &Frame,
    message: &T,
    last: bool,
) -> Result<(), FrameError> {
    reply_bytes(io, request, T::ID, message.encode_to_vec(), last).await
}

async fn reply_bytes(
    io: &mut (impl AsyncWrite + Unpin),
    request: &Frame,
    id: &str,
    body: Vec<u8>,
    last: bool,
) -> Result<(), FrameError> {
    let txn = request.txn.map(|txn| txn.reply(last));
    let frame = Frame { txn, id: id.to_owned(), body };
    timeout(CLIENT_TIMEOUT, frame.write(io)).await.unwrap_or(Ok(()))
}
