//! `--join`: how a supervisor comes into a ring by an invitation, and how it comes back into that ring when it is started again.
//!
//! What it got is the key, in the key cache; copies of it and of the older keys that members still open, in the data directory;
//! and there a small file that names the ring and some members. That file is written last, and from then on the invitation is not needed any more.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use annulus_core::limits::PEERS_MAX;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::mpsc;

use super::options::{Peer, Settings};
use crate::gateway::keyed::Keyed;
use crate::host::clock::Clock;
use crate::host::root::SupDir;
use crate::host::secret_env::{JOIN_ENV, RING_KEY_ENV};
use crate::host::{atomic, disk, exit, small_file};
use crate::invite::join::{self, Granted, JoinError};
use crate::invite::line::{JoinLine, LINE_BYTES_MAX, LineError};
use crate::invite::{self, Host};
use crate::keys::{HeldKey, KeyCache, KeyError, RingKey};
use crate::launcher;
use crate::net::{GUESTS_MAX, GateParts, Guest, TokioTransport};
use crate::supervisor::handle::DriverHandle;
use crate::supervisor::identity::{IdentityError, MemberKey};
use crate::supervisor::ring_keys;

/// The file in the data directory.
const FILE_NAME: &str = "JOINED";

/// Where an invitation is: in the option itself, in a file, or on standard input.
#[derive(Clone, PartialEq, Eq)]
pub enum JoinOption {
    /// Given, and nothing in it.
    Empty,
    /// The line itself.
    Line(String),
    /// In this file.
    File(PathBuf),
    /// On standard input.
    Stdin,
}

impl FromStr for JoinOption {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.trim() {
            "" => Self::Empty,
            "-" => Self::Stdin,
            line => match line.strip_prefix('@') {
                Some(path) => Self::File(PathBuf::from(path)),
                None => Self::Line(line.to_owned()),
            },
        })
    }
}

/// Without the line, which holds a secret.
impl fmt::Debug for JoinOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Line(_) => f.write_str("Line(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Stdin => f.write_str("Stdin"),
        }
    }
}

/// Why a supervisor does not join, or does not find the ring that it joined.
#[derive(Debug, Error)]
pub enum JoiningError {
    /// The invitation cannot be read.
    #[error("--join: {place}: {source}")]
    Unread {
        /// From where.
        place: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// There is none: what a `$(…)` that failed leaves.
    #[error(
        "--join (or {JOIN_ENV}) is given and empty, as by an `annulus ring invite` that failed: give it the line, or leave it out \
         where no ring is to be joined"
    )]
    Empty,
    /// It is none.
    #[error("--join: {0}")]
    Line(#[from] LineError),
    /// Another option names another ring.
    #[error(
        "--join: the invitation is to ring {invited:?}, and --ring (HAB_RING, or ring in sup.toml) names {ring:?}: leave --ring out, \
         the invitation brings the key"
    )]
    Ring {
        /// That of the option.
        ring: String,
        /// That of the invitation.
        invited: String,
    },
    /// The environment holds a key already.
    #[error(
        "--join: {RING_KEY_ENV} holds the key of a ring already, and the invitation brings one: give one of the two"
    )]
    KeyGiven,
    /// This supervisor is a member of another ring.
    #[error(
        "--join: the invitation is to ring {invited:?}, and {} belongs to a member of ring {ring:?}. Join with another supervisor \
         (--override-name NAME, or --root DIR); or, where this one is to leave {ring:?} for good, `annulus sup term` it and move that \
         directory aside", .data.display()
    )]
    OtherRing {
        /// That of the directory.
        ring: String,
        /// That of the invitation.
        invited: String,
        /// The directory.
        data: PathBuf,
    },
    /// It was not let in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The member's key cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The key cannot be put into the cache.
    #[error("--join: {0}")]
    Key(#[from] KeyError),
    /// What was joined cannot be stored or read.
    #[error(
        "{}: {source}; {}", .path.display(),
        disk::advice(.source, "it says which ring this supervisor joined: put it right, or remove it and give --ring or a new --join")
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

impl JoiningError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Join(_) => exit::NOT_LET_IN,
            Self::Identity(_) | Self::Key(_) | Self::Record { .. } => exit::STORE,
            Self::Unread { .. }
            | Self::Empty
            | Self::Line(_)
            | Self::Ring { .. }
            | Self::KeyGiven
            | Self::OtherRing { .. } => exit::USAGE,
        }
    }
}

/// What a supervisor knows of the ring that it joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Joined {
    ring: String,
    /// The invitation by which it came, without its secret.
    invitation: String,
    /// Where members were.
    peers: Vec<String>,
}

impl Joined {
    fn read(sup: &SupDir) -> Result<Option<Self>, JoiningError> {
        let path = sup.data().join(FILE_NAME);
        let read = small_file::read_to_string(&path).and_then(|text| Ok(serde_json::from_str(&text)?));
        match read {
            Ok(joined) => Ok(Some(joined)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(source) => Err(JoiningError::Record { path, source }),
        }
    }

    fn write(&self, sup: &SupDir) -> Result<(), JoiningError> {
        let path = sup.data().join(FILE_NAME);
        let written = serde_json::to_vec(self).map_err(io::Error::from);
        let written = written.and_then(|text| atomic::write(&path, &text, 0o600));
        written.map_err(|source| JoiningError::Record { path, source })
    }

    /// A supervisor that is told of no other ring comes back into this one.
    fn apply(&self, settings: &mut Settings) {
        if settings.ring.is_none() && !has_key() {
            settings.ring = Some(self.ring.clone());
        }
        if settings.ring.as_ref() == Some(&self.ring) {
            add_peers(settings, &self.peers);
        }
    }
}

fn add_peers(settings: &mut Settings, peers: &[String]) {
    for peer in peers.iter().filter_map(|peer| peer.parse::<Peer>().ok()) {
        if settings.peers.len() < PEERS_MAX && !settings.peers.contains(&peer) {
            settings.peers.push(peer);
        }
    }
}

/// Whether the environment holds the key of a ring.
fn has_key() -> bool {
    std::env::var_os(RING_KEY_ENV).is_some_and(|value| !value.is_empty())
}

/// What is to be done about the ring before a supervisor starts.
#[derive(Default)]
pub(super) struct Plan {
    /// The invitation to use.
    pub(super) joining: Option<Joining>,
    /// What an operator is to know.
    pub(super) remark: Option<String>,
    /// What the launcher and its supervisors are given in their environment: what came on standard input comes once.
    pub(super) environment: Option<(&'static str, String)>,
}

/// An invitation that is to be used.
#[derive(Debug)]
pub(super) struct Joining {
    line: JoinLine,
    sup: SupDir,
    cache: KeyCache,
    /// The supervisor is in that ring already, by another invitation.
    before: Option<Joined>,
}

/// Decides what an invitation is for, and names the ring in `settings` where this supervisor is in it already.
pub(super) fn plan(
    (sup, cache): (&SupDir, KeyCache),
    option: Option<&JoinOption>,
    settings: &mut Settings,
) -> Result<Plan, JoiningError> {
    let joined = Joined::read(sup)?;
    let Some(option) = option else {
        joined.inspect(|joined| joined.apply(settings));
        return Ok(Plan::default());
    };
    let (text, environment) = match read(option) {
        // A file or a terminal that is gone is no reason not to come back.
        Err(error) => match joined {
            Some(joined) => return Ok(known(&joined, settings, None)),
            None => return Err(error),
        },
        Ok(text) => {
            let from_stdin = matches!(option, JoinOption::Stdin).then(|| (JOIN_ENV, text.clone()));
            (text, from_stdin)
        }
    };
    let line: JoinLine = text.parse()?;
    check(&line, joined.as_ref(), sup, settings)?;
    let invitation = line.secret.verifier().id();
    let has_copy = ring_keys::last_kept(&sup.ring_keys(), &line.ring).is_some();
    match joined {
        Some(joined) if joined.invitation == invitation => Ok(known(&joined, settings, environment)),
        None if has_copy => {
            let peers = line.addresses.iter().map(|at| Peer { host: at.host().to_owned(), port: at.port() });
            let peers = peers.map(|peer| peer.to_string()).collect();
            let joined = Joined { ring: line.ring.clone(), invitation, peers };
            Ok(known(&joined, settings, environment))
        }
        // Another invitation to the same ring brings its present key.
        before => {
            let joining = Joining { line, sup: sup.clone(), cache, before };
            Ok(Plan { joining: Some(joining), remark: None, environment })
        }
    }
}

/// This supervisor is a member already.
fn known(joined: &Joined, settings: &mut Settings, environment: Option<(&'static str, String)>) -> Plan {
    joined.apply(settings);
    let remark =
        format!("this supervisor is in ring {} already: the invitation is not needed any more", joined.ring);
    Plan { joining: None, remark: Some(remark), environment }
}

/// Whether nothing contradicts the invitation.
fn check(
    line: &JoinLine,
    joined: Option<&Joined>,
    sup: &SupDir,
    settings: &Settings,
) -> Result<(), JoiningError> {
    let invited = || line.ring.clone();
    if let Some(ring) = settings.ring.clone().filter(|ring| *ring != line.ring) {
        return Err(JoiningError::Ring { ring, invited: invited() });
    }
    if has_key() {
        return Err(JoiningError::KeyGiven);
    }
    let others = ring_keys::rings_kept(&sup.ring_keys());
    let of_data = joined.map(|joined| joined.ring.clone());
    let of_data = of_data.or_else(|| others.iter().find(|_| !others.contains(&line.ring)).cloned());
    match of_data.filter(|ring| *ring != line.ring) {
        Some(ring) => Err(JoiningError::OtherRing { ring, invited: invited(), data: sup.data() }),
        None => Ok(()),
    }
}

/// The text of an invitation.
fn read(option: &JoinOption) -> Result<String, JoiningError> {
    let unread = |place: &Path| {
        let place = place.display().to_string();
        move |source| JoiningError::Unread { place, source }
    };
    match option {
        JoinOption::Empty => Err(JoiningError::Empty),
        JoinOption::Line(line) => Ok(line.clone()),
        JoinOption::File(path) => small_file::read_to_string(path).map_err(unread(path)),
        JoinOption::Stdin if launcher::is_parent() => Ok(std::env::var(JOIN_ENV).unwrap_or_default()),
        JoinOption::Stdin => {
            let mut text = String::new();
            // One byte more tells that there is more.
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = io::stdin().take(limit).read_to_string(&mut text);
            read.map_err(unread(Path::new("standard input")))?;
            Ok(text)
        }
    }
}

/// The guests of the gossip port, and what serves them once the supervisor runs. In an open ring there are none.
pub(super) struct Guests {
    guests: mpsc::Receiver<Guest>,
    signer: MemberKey,
}

impl Guests {
    /// They come through the gate.
    pub(super) fn through(gate: &mut GateParts, member: &MemberKey) -> Self {
        let (sender, guests) = mpsc::channel(GUESTS_MAX);
        gate.guests = Some(sender);
        Self { guests, signer: member.again() }
    }

    /// Serves them.
    pub(super) fn serve(self, keyed: &Keyed, handle: &DriverHandle) {
        let Some((invitations, keeper)) = keyed.invitations.clone().zip(keyed.keeper.clone()) else { return };
        let host = Host { invitations, keeper, handle: handle.clone(), signer: Arc::new(self.signer) };
        tokio::spawn(invite::serve(self.guests, host));
    }
}

impl Joining {
    /// Uses the invitation. A supervisor that is in that ring already goes on with the key that it has where it is not let in: it
    /// has services to look after.
    pub(super) async fn carry_out(self, settings: &mut Settings) -> Result<Option<RingKey>, JoiningError> {
        match (self.come_in(settings).await, &self.before) {
            (Err(JoiningError::Join(error)), Some(before)) => {
                tracing::warn!(
                    "{error}. This supervisor is in ring {} already and goes on with the key that it has",
                    before.ring
                );
                before.apply(settings);
                Ok(None)
            }
            (came_in, _) => came_in.map(Some),
        }
    }

    /// Uses the invitation, and stores what it brought: the ring's key, and where members are. Nothing is left of a try that
    /// failed but the member's own key.
    async fn come_in(&self, settings: &mut Settings) -> Result<RingKey, JoiningError> {
        let (line, data) = (&self.line, self.sup.data());
        fs::create_dir_all(&data).map_err(|source| JoiningError::Record { path: data.clone(), source })?;
        let own = MemberKey::load_or_create(&data)?;
        let transport = TokioTransport::speaking_from(settings.gossip.ip());
        let granted: Granted<_> = join::join(&transport, line, &own, Clock::host()).await?;
        let path = self.cache.store(&granted.key)?;
        let own = self.sup.ring_keys();
        let kept = granted.older.iter().chain([&granted.key]).filter_map(HeldKey::of);
        for key in kept {
            // The current one is the last: without it a supervisor takes the file in the cache.
            ring_keys::keep(&own, &key)
                .map_err(|source| JoiningError::Record { path: own.clone(), source })?;
        }
        let invitation = line.secret.verifier().id();
        let joined =
            Joined { ring: line.ring.clone(), invitation: invitation.clone(), peers: granted.peers.clone() };
        joined.write(&self.sup)?;
        joined.apply(settings);
        tracing::info!(
            ring = line.ring, %invitation, inviter = %line.inviter,
            "joined ring {} by invitation {invitation} of member {}: its key {} is in {}; {} older keys open messages, too",
            line.ring, line.inviter, granted.key.id, path.display(), granted.older.len()
        );
        let held = HeldKey::of(&granted.key).expect("an answer was looked at: it has the key of a ring");
        granted.confirm().await;
        Ok(RingKey::filed(held, path))
    }
}

#[cfg(test)]
mod tests;
