//! The new host's end: goes to the member that invited, and comes back with the keys of the ring. Stores nothing itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use annulus_core::limits::OPEN_KEYS_MAX;
use annulus_core::{MemberId, Sign, UnixTime};
use thiserror::Error;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use super::handshake::{Answer, HandshakeError, Joiner, Refusal};
use super::line::{Address, JoinLine};
use crate::host::clock::Clock;
use crate::host::timestamp::rfc3339_millis;
use crate::keys::{KeyFile, KeyKind};
use crate::net::Transport;

/// A member that is not reached is tried again for so long …
const TRY_FOR: Duration = Duration::from_secs(30);
/// … first after this pause, then after ever longer ones …
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// … up to this one.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A connection stands within this, and a name is looked up within it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The member has answered within this.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// It says within this that it knows that its answer is stored. Nothing depends on that.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// So often a member may close the connection without a word: it may be busy.
const SILENT_MAX: u32 = 3;
/// Peers that are taken from an answer.
const PEERS_MAX: usize = 16;

/// Why this host does not come into the ring.
#[derive(Debug, Error)]
pub enum JoinError {
    /// The member is not reached.
    #[error(
        "--join: the member that invited, {inviter}, is not reached at {addresses}: {reason}; tried for {} s. Does its supervisor \
         run, and does this host reach its gossip port over TCP? `annulus ring invite --address HOST:PORT` names another address",
        TRY_FOR.as_secs()
    )]
    Unreachable {
        /// The member.
        inviter: MemberId,
        /// Where it was looked for.
        addresses: String,
        /// What happened last.
        reason: String,
    },
    /// It does not know the invitation.
    #[error(
        "--join: the supervisor at {address} does not know this invitation, and says nothing to strangers: it is another one than \
         invited ({inviter}), its ring has no key, it runs a version before invitations, or it ended more than a day ago. Make a new \
         one there with `annulus ring invite`"
    )]
    Silent {
        /// Where.
        address: Address,
        /// The member that invited.
        inviter: MemberId,
    },
    /// Another one answers.
    #[error(
        "--join: at {address} answers one that is not the member that invited, {inviter}: {found}. Either that host's supervisor \
         began anew, or a third party stands between; nothing was told to it. Make a new invitation, and carry the line on a way that \
         you trust"
    )]
    Other {
        /// Where.
        address: Address,
        /// The member that invited.
        inviter: MemberId,
        /// What is known of it.
        found: HandshakeError,
    },
    /// The invitation does not count any more.
    #[error("--join: {address} refuses invitation {invitation}: {reason}")]
    Refused {
        /// Where.
        address: Address,
        /// The invitation.
        invitation: String,
        /// Why, and what to do.
        reason: String,
    },
    /// What came is no key of that ring.
    #[error("--join: {address} sends no key of ring {ring:?}: {reason}; is it of another version?")]
    Key {
        /// Where.
        address: Address,
        /// The ring.
        ring: String,
        /// What is wrong.
        reason: String,
    },
}

/// What the member that invited gave.
pub struct Granted<S> {
    /// The key of the ring.
    pub key: KeyFile,
    /// Older ones that members still open messages with, the oldest first.
    pub older: Vec<KeyFile>,
    /// Where members are, that one first.
    pub peers: Vec<String>,
    /// Where it was reached.
    pub address: Address,
    joiner: Joiner<S>,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Granted<S> {
    /// Tells the member that the key is stored, so that the invitation is used up. It may not hear that: then this member alone
    /// could use the invitation again.
    pub async fn confirm(self) {
        match timeout(KNOWN_TIMEOUT, self.joiner.stored()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "the member that invited may not know that its key is stored")
            }
            Err(_) => {
                tracing::debug!("the member that invited does not say that it knows that its key is stored")
            }
        }
    }
}

/// How one try ended.
enum Failed {
    /// Not reached: later it may be.
    Later(String),
    /// It said nothing.
    Silent(Address),
    /// For good, at this address.
    Here(JoinError),
    /// For good, at each address.
    Ever(JoinError),
}

/// Comes into a ring by an invitation: the key, and where members are.
///
/// # Errors
/// See [`JoinError`].
pub async fn join<T: Transport>(
    transport: &T,
    line: &JoinLine,
    own: &dyn Sign,
    clock: Clock,
) -> Result<Granted<T::Stream>, JoinError> {
    let (begun, mut pause, mut silent) = (clock.now(), PAUSE_MIN, 0);
    let addresses = line.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    loop {
        let (mut reason, mut last) = (String::new(), None);
        for address in &line.addresses {
            match once(transport, (line, address), own).await {
                Ok(granted) => return Ok(granted),
                Err(Failed::Ever(error)) => return Err(error),
                Err(Failed::Here(error)) => last = Some(error),
                Err(Failed::Silent(address)) => {
                    silent += 1;
                    reason = "it closed the connection without a word".to_owned();
                    if silent >= SILENT_MAX {
                        last = last.or(Some(JoinError::Silent { address, inviter: line.inviter }));
                    }
                }
                Err(Failed::Later(why)) => reason = why,
            }
        }
        if let Some(error) = last {
            return Err(error);
        }
        if clock.now().saturating_since(begun) + pause > TRY_FOR {
            return Err(JoinError::Unreachable { inviter: line.inviter, addresses, reason });
        }
        tracing::info!(
            "the member that invited is not reached at {addresses}: {reason}; trying again in {} ms",
            pause.as_millis()
        );
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn once<T: Transport>(
    transport: &T,
    (line, address): (&JoinLine, &Address),
    own: &dyn Sign,
) -> Result<Granted<T::Stream>, Failed> {
    let stream = connect(transport, address).await.map_err(|error| Failed::Later(error.to_string()))?;
    let greeted = async {
        let mut joiner = Joiner::greet(stream, (&line.inviter, &line.secret), own).await?;
        let answer = joiner.answer().await?;
        Ok((joiner, answer))
    };
    let late = || Failed::Later(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
    let (joiner, answer) = match timeout(ANSWER_TIMEOUT, greeted).await.map_err(|_| late())? {
        Ok(greeted) => greeted,
        Err(HandshakeError::Silent) => return Err(Failed::Silent(address.clone())),
        Err(HandshakeError::Io(error)) => {
            return Err(Failed::Later(format!("the connection failed: {error}")));
        }
        Err(found @ (HandshakeError::Other(_) | HandshakeError::Forged)) => {
            let (address, inviter) = (address.clone(), line.inviter);
            return Err(Failed::Here(JoinError::Other { address, inviter, found }));
        }
    };
    if let Some(refusal) = answer.refusal {
        let refusal = Refusal::try_from(refusal).unwrap_or(Refusal::Failed);
        let (address, invitation) = (address.clone(), line.secret.verifier().id());
        let reason = words(refusal, &answer, own.id());
        return Err(Failed::Ever(JoinError::Refused { address, invitation, reason }));
    }
    let (key, older) = keys(&answer, &line.ring).map_err(|reason| {
        Failed::Ever(JoinError::Key { address: address.clone(), ring: line.ring.clone(), reason })
    })?;
    Ok(Granted { key, older, peers: peers(address, &answer.peers), address: address.clone(), joiner })
}

async fn connect<T: Transport>(transport: &T, address: &Address) -> io::Result<T::Stream> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let found: Vec<SocketAddr> = match address.host().parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, address.port())],
        Err(_) => {
            let found = timeout(CONNECT_TIMEOUT, lookup_host((address.host(), address.port()))).await;
            found.map_err(late)??.collect()
        }
    };
    let mut last = io::Error::other("its name has no address");
    for to in found {
        match timeout(CONNECT_TIMEOUT, transport.connect(to))
            .await
            .map_err(late)
            .and_then(|connected| connected)
        {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The keys of the ring in an answer: the one that it speaks with, and the older ones.
///
/// # Errors
/// What is wrong, in words.
pub fn keys(answer: &Answer, ring: &str) -> Result<(KeyFile, Vec<KeyFile>), String> {
    let current = key(&answer.key, ring)?;
    if answer.older.len() >= OPEN_KEYS_MAX {
        return Err(format!(
            "it sends {} older keys, and a member opens {OPEN_KEYS_MAX}",
            answer.older.len()
        ));
    }
    let mut older = answer.older.iter().map(|text| key(text, ring)).collect::<Result<Vec<_>, _>>()?;
    if let Some(newer) = older.iter().find(|older| older.id.revision() > current.id.revision()) {
        return Err(format!("it calls {} older, which is newer than {}", newer.id, current.id));
    }
    older.sort_by(|one, two| one.id.cmp(&two.id));
    Ok((current, older))
}

/// A key of the ring in an answer.
fn key(text: &str, ring: &str) -> Result<KeyFile, String> {
    let file = KeyFile::parse(text, Path::new("what it sent")).map_err(|error| error.to_string())?;
    if file.kind != KeyKind::Shared {
        return Err(format!("it is {}", file.kind.words()));
    }
    if file.id.name() != ring {
        return Err(format!("it is of ring {:?}", file.id.name()));
    }
    Ok(file)
}

/// The peers to join through: the member that invited as it was reached, then others.
#[must_use]
pub fn peers(reached: &Address, told: &[String]) -> Vec<String> {
    let first = match reached.host().parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, reached.port()).to_string(),
        Err(_) => reached.to_string(),
    };
    let told = told.iter().filter_map(|peer| peer.parse::<SocketAddr>().ok());
    let told =
        told.filter(|peer| !peer.ip().is_unspecified() && peer.port() > 0).map(|peer| peer.to_string());
    let mut peers = vec![first];
    for peer in told.take(PEERS_MAX) {
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    peers
}

/// Why a member refuses, and what to do.
fn words(refusal: Refusal, answer: &Answer, own: MemberId) -> String {
    let at = rfc3339_millis(UnixTime::from_millis(answer.at_ms));
    let by = <[u8; 16]>::try_from(answer.by.as_slice()).ok().map(MemberId::from_bytes);
    match refusal {
        Refusal::Expired => format!(
            "it expired at {at} by that host's clock; make a new one there with `annulus ring invite --for TIME`"
        ),
        Refusal::Revoked => {
            format!("an operator took it back at {at}; make a new one with `annulus ring invite`")
        }
        Refusal::Used if by == Some(own) => {
            format!(
                "this member, {own}, used it at {at}, and an invitation is for one time; make a new one with `annulus ring invite`"
            )
        }
        Refusal::Used => {
            let by = by.map_or_else(|| "another member".to_owned(), |by| format!("member {by}"));
            format!(
                "{by} used it at {at}, and an invitation is for one host; make a new one with `annulus ring invite`. If no host of \
                 yours is that member, a stranger had the line: `annulus sup members` there, and another key for the ring"
            )
        }
        Refusal::Clock => {
            format!("it was made at {at}, and that host's clock is before that now; set the clock there")
        }
        Refusal::Failed => "that supervisor cannot store or read what it needs; its log says why".to_owned(),
    }
}

#[cfg(test)]
mod tests;
