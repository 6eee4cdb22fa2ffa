//! The first bytes of a ctl connection, which say how it is spoken on: sealed with the key of the ring, or in the clear. A ring
//! with a key hears clients of other hosts sealed only, with any key that the supervisor has at that time. The own socket is another matter: there the kernel says who is at the
//! other end, and no byte crosses a network.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::frame::{Frame, FrameError};
use super::message::{ErrCode, NetErr};
use super::sealed::{GREETING, NotHeard, Sealed};
use super::{CLIENT_TIMEOUT, Ctl, reply, serve_client};
use crate::gateway::arrivals::{Client, Peer};
use crate::gateway::door::WRONG_SECRET_PAUSE;
use crate::keys::HeldKeys;
use crate::net::records::is_unreadable;
use crate::net::{Unreadable, Way};

/// What a client in the clear is told.
const SEALED_ONLY: &str = "this supervisor's ring has a key, and clients of other hosts are heard sealed with it: name the ring \
                           with --ring (the key is in the key cache or in HAB_RING_KEY), or give the command on the supervisor's \
                           own host";

/// Serves a client that has just come in.
pub(super) async fn serve(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    client: &Client,
    ctl: &Ctl,
) -> Result<(), FrameError> {
    let mut first = [0];
    match timeout(CLIENT_TIMEOUT, io.read(&mut first)).await {
        Ok(Ok(0)) | Err(_) => return Ok(()),
        Ok(read) => drop(read?),
    }
    let Peer::Host { from, .. } = client.peer else { return serve_plain(io, first[0], client, ctl).await };
    let note = |why| ctl.keyed.rejected.note(from, Way::Client, why);
    match (&ctl.keyed.keeper, first[0] == GREETING[0]) {
        (None, false) => serve_plain(io, first[0], client, ctl).await,
        (None, true) => {
            note(Unreadable::Sealed);
            Ok(())
        }
        (Some(_), false) => {
            note(Unreadable::NoKey);
            refuse(io, first[0]).await
        }
        (Some(keeper), true) => serve_sealed(io, (client, from), ctl, keeper.held()).await,
    }
}

/// Serves a client in the clear.
async fn serve_plain(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    first: u8,
    client: &Client,
    ctl: &Ctl,
) -> Result<(), FrameError> {
    match timeout(CLIENT_TIMEOUT, Frame::read_rest(first, io)).await {
        Ok(hello) => serve_client(io, &hello?, client, ctl).await,
        Err(_) => Ok(()),
    }
}

/// Tells a client in the clear that it is not heard; nothing that it said is looked at.
async fn refuse(io: &mut (impl AsyncRead + AsyncWrite + Unpin), first: u8) -> Result<(), FrameError> {
    let Ok(hello) = timeout(CLIENT_TIMEOUT, Frame::read_rest(first, io)).await else { return Ok(()) };
    tokio::time::sleep(WRONG_SECRET_PAUSE).await;
    reply(io, &hello?, &NetErr::new(ErrCode::NotSupported, SEALED_ONLY), true).await
}

async fn serve_sealed(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    (client, from): (&Client, SocketAddr),
    ctl: &Ctl,
    ring: &HeldKeys,
) -> Result<(), FrameError> {
    let note = |why| ctl.keyed.rejected.note(from, Way::Client, why);
    let note_changed = |error: &io::Error| {
        if is_unreadable(error) {
            note(Unreadable::UnknownKey);
        }
    };
    let greeted = async {
        let mut rest = [0; GREETING.len() - 1];
        io.read_exact(&mut rest).await?;
        if rest != GREETING[1..] {
            return Err(NotHeard::Io(io::Error::other("no greeting of this version")));
        }
        Sealed::server(io, ring).await
    };
    let Ok(greeted) = timeout(CLIENT_TIMEOUT, greeted).await else { return Ok(()) };
    let (mut near, carry) = match greeted {
        Ok(sealed) => sealed.open(),
        Err(NotHeard::Io(error)) => return Err(FrameError::Io(error)),
        Err(NotHeard::Key(why)) => {
            note(why);
            return Ok(());
        }
    };
    let serving = async {
        let served = match super::read_in_time(&mut near).await? {
            Some(hello) => serve_client(&mut near, &hello, client, ctl).await,
            None => Ok(()),
        };
        near.shutdown().await?;
        served
    };
    let mut carry = pin!(carry);
    let served = tokio::select! {
        biased;
        carried = &mut carry => return Ok(carried.inspect_err(note_changed)?),
        served = serving => served,
    };
    // What was answered is still on its way.
    match timeout(CLIENT_TIMEOUT, carry).await {
        Ok(carried) => carried.inspect_err(note_changed).map_err(FrameError::Io).and(served),
        Err(_) => served,
    }
}
