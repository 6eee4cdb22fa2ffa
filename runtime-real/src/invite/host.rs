//! The inviting supervisor's end: hears who comes by an invitation, and hands the ring's keys to one member for each. A stranger gets
//! no word.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annulus_core::{MemberId, MemberRecord, Node, RingKeyId, Sign, State, UnixTime};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::guesses::Guesses;
use super::handshake::{Answer, Hello, Inviter, Refusal};
use super::line::Verifier;
use super::register::{Refused, Register};
use crate::host::clock::Clock;
use crate::host::timestamp::rfc3339_millis;
use crate::net::records::is_unreadable;
use crate::net::{self, Guest, GuestStream};
use crate::supervisor::handle::DriverHandle;
use crate::supervisor::ring_keys::RingKeeper;

/// A joiner has said its first word within this …
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// … and all of it within this. It stores what it got meanwhile.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Members of which a joiner is told.
const PEERS_TOLD: usize = 8;
/// Wrong secrets are told of so often at most, in milliseconds.
const TOLD_PERIOD_MS: u64 = 60_000;

/// What became of one that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It got the key, and said that it has stored it.
    Joined,
    /// It got the key, and went away without saying so.
    Unconfirmed,
    /// What it knows is no secret of an invitation.
    Unknown,
    /// Its host came too often with such.
    Slowed,
    /// Refused: see [`Refusal`].
    Refused(Refusal),
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Joined,
        Self::Unconfirmed,
        Self::Unknown,
        Self::Slowed,
        Self::Refused(Refusal::Failed),
        Self::Refused(Refusal::Expired),
        Self::Refused(Refusal::Revoked),
        Self::Refused(Refusal::Used),
        Self::Refused(Refusal::Clock),
    ];

    /// Its stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Unconfirmed => "unconfirmed",
            Self::Unknown => "unknown",
            Self::Slowed => "slowed",
            Self::Refused(Refusal::Failed) => "failed",
            Self::Refused(Refusal::Expired) => "expired",
            Self::Refused(Refusal::Revoked) => "revoked",
            Self::Refused(Refusal::Used) => "used",
            Self::Refused(Refusal::Clock) => "clock",
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    totals: BTreeMap<Outcome, u64>,
    guesses: Guesses,
    told: Option<UnixTime>,
}

/// The invitations of a supervisor and what became of them. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Invitations {
    /// Those on disk.
    pub register: Register,
    seen: Arc<Mutex<Seen>>,
    clock: Clock,
}

impl Invitations {
    /// Those of this register.
    #[must_use]
    pub fn new(register: Register, clock: Clock) -> Self {
        Self { register, seen: Arc::default(), clock }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often each outcome came.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<Outcome, u64> {
        self.seen().totals.clone()
    }

    /// How many are open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.register.open_count(self.clock.wall())
    }

    fn note(&self, outcome: Outcome) {
        *self.seen().totals.entry(outcome).or_default() += 1;
    }

    fn may_try(&self, host: IpAddr) -> bool {
        let may = self.seen().guesses.may_try(host, self.clock.wall());
        if !may {
            self.note(Outcome::Slowed);
        }
        may
    }

    /// A host came with what is no secret. The log hears of it once a minute at most, whatever comes.
    fn wrong(&self, from: IpAddr) {
        self.note(Outcome::Unknown);
        let now = self.clock.wall();
        let count = |seen: &Seen, outcome| seen.totals.get(&outcome).copied().unwrap_or_default();
        let tries = {
            let mut seen = self.seen();
            seen.guesses.wrong(net::host(from), now);
            let passed = |told: UnixTime| now.as_millis().abs_diff(told.as_millis()) >= TOLD_PERIOD_MS;
            if !seen.told.is_none_or(passed) {
                return;
            }
            seen.told = Some(now);
            count(&seen, Outcome::Unknown) + count(&seen, Outcome::Slowed)
        };
        tracing::warn!(
            %from, tries,
            "{from} came with what is no invitation of this supervisor and got no answer; {tries} tries of all hosts so far \
             (ring_invitation_answers_total counts them)"
        );
    }
}

/// What serves those that come.
#[derive(Clone, Debug)]
pub struct Host {
    /// The invitations.
    pub invitations: Invitations,
    /// The supervisor.
    pub handle: DriverHandle,
    /// The keys of the ring.
    pub keeper: RingKeeper,
    /// Signs for the member that invites.
    pub signer: Arc<dyn Sign>,
}

/// Serves guests of the gossip port until there is no such port any more.
pub async fn serve(mut guests: mpsc::Receiver<Guest>, host: Host) {
    while let Some(guest) = guests.recv().await {
        if !host.invitations.may_try(net::host(guest.from.ip())) {
            continue;
        }
        let host = host.clone();
        tokio::spawn(async move {
            let from = guest.from;
            if let Err(error) = host.meet(guest).await {
                tracing::debug!(%from, %error, "the connection of a joiner ended");
            }
        });
    }
}

impl Host {
    /// Serves one that came.
    async fn meet(&self, mut guest: Guest) -> io::Result<()> {
        let (from, own) = (guest.from.ip(), self.signer.id());
        let hello = timeout(HELLO_TIMEOUT, Hello::read(&mut guest.stream)).await;
        let hello = hello.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let hello = hello.inspect_err(|_| self.invitations.wrong(from))?;
        let Some((id, verifier)) = self.invitations.register.find(|known| hello.knows(known, &own)) else {
            self.invitations.wrong(from);
            return Ok(());
        };
        // Its place is given back when this ends.
        let (stream, from) = (guest.stream, guest.from);
        let whole = timeout(WHOLE_TIMEOUT, self.hand_over(stream, (hello, verifier), (&id, from))).await;
        whole.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn hand_over(
        &self,
        stream: Box<dyn GuestStream>,
        (hello, verifier): (Hello, Verifier),
        (id, from): (&str, SocketAddr),
    ) -> io::Result<()> {
        let greeted = Inviter::greet(stream, &hello, &verifier, &*self.signer).await;
        // One that went away in the middle may have met one between, whom it did not believe.
        let mut inviter = greeted.inspect_err(|error| {
            if is_unreadable(error) {
                self.invitations.wrong(from.ip());
            }
        })?;
        let (joiner, ip) = (inviter.joiner, from.ip());
        let (outcome, answer) = match self.admit(id, joiner).await {
            Ok(Ok(answer)) => (Outcome::Unconfirmed, answer),
            Ok(Err(refused)) => {
                tell_refusal(id, (joiner, ip), &refused);
                (Outcome::Refused(refused.why), refusal(&refused))
            }
            Err(reason) => {
                tracing::error!(
                    "invitation {id}: member {joiner} from {ip} is not let in, because of this supervisor: {reason}"
                );
                let refused = Refused { why: Refusal::Failed, at_ms: 0, by: None };
                (Outcome::Refused(Refusal::Failed), refusal(&refused))
            }
        };
        if outcome != Outcome::Unconfirmed {
            self.invitations.note(outcome);
            return inviter.answer(&answer).await;
        }
        let stored = async {
            inviter.answer(&answer).await?;
            inviter.wait_stored().await
        };
        if let Err(error) =
            timeout(WHOLE_TIMEOUT / 2, stored).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        {
            self.invitations.note(Outcome::Unconfirmed);
            tracing::warn!(
                "member {joiner} from {ip} came by invitation {id} and went away before it said that it has the key: {error}; \
                 it alone may ask again"
            );
            return Ok(());
        }
        self.invitations.note(Outcome::Joined);
        tracing::info!(
            invitation = id, member = %joiner, from = %ip,
            "member {joiner} from {ip} has the key of ring {} by invitation {id}, which is used now",
            self.keeper.ring()
        );
        self.confirm(id).await;
        inviter.known().await
    }

    async fn confirm(&self, id: &str) {
        let (register, now) = (self.invitations.register.clone(), self.invitations.clock.wall());
        let owned = id.to_owned();
        let confirmed = tokio::task::spawn_blocking(move || register.confirm(&owned, now)).await;
        if let Ok(Err(error)) = confirmed {
            tracing::warn!("invitation {id}: {error}; the member that used it could ask again");
        }
    }

    /// The answer to a member that comes by an invitation, which is its own on disk then.
    async fn admit(&self, id: &str, joiner: MemberId) -> Result<Result<Answer, Refused>, String> {
        let look = |node: &Node| (node.speaks_with(), opens(node), peers(node.members(), node.id()));
        let (speaks, opens, peers) = self.handle.read(look).await.map_err(|gone| gone.to_string())?;
        let key = self.keeper.held().get(&speaks);
        let key = key.ok_or("it speaks in the clear, though its ring has a key")?;
        // Members that have not got the current key yet are understood by the new one from its first message.
        let older = opens.iter().filter(|open| **open < speaks && !open.is_clear());
        let older = older.filter_map(|open| self.keeper.held().get(open));
        let older = older.map(|held| held.file().to_text()).collect();
        let (register, now) = (self.invitations.register.clone(), self.invitations.clock.wall());
        let id = id.to_owned();
        let admitted = tokio::task::spawn_blocking(move || register.admit(&id, &joiner, now)).await;
        let admitted = admitted.map_err(|failed| failed.to_string())?.map_err(|error| error.to_string())?;
        Ok(admitted.map(|()| Answer { key: key.file().to_text(), older, peers, ..Answer::default() }))
    }
}

/// The keys with which this member opens messages.
fn opens(node: &Node) -> Vec<RingKeyId> {
    node.ring_keys().map(|view| view.opens.iter().map(|open| open.key).collect()).unwrap_or_default()
}

/// Where some other members are; permanent ones first, because they stay.
fn peers(mut members: Vec<MemberRecord>, own: MemberId) -> Vec<String> {
    members.retain(|member| member.state == State::Alive && member.id != own);
    members.sort_by_key(|member| !member.permanent);
    members.iter().take(PEERS_TOLD).map(|member| member.gossip_addr().to_string()).collect()
}

fn refusal(refused: &Refused) -> Answer {
    Answer {
        refusal: Some(refused.why.into()),
        at_ms: refused.at_ms,
        by: refused.by.map(|by| by.as_bytes().to_vec()).unwrap_or_default(),
        ..Answer::default()
    }
}

fn tell_refusal(id: &str, (joiner, ip): (MemberId, IpAddr), refused: &Refused) {
    let at = rfc3339_millis(UnixTime::from_millis(refused.at_ms));
    match (refused.why, refused.by) {
        (Refusal::Used, Some(by)) if by != joiner => tracing::warn!(
            invitation = id, member = %joiner, %by, from = %ip,
            "invitation {id} was used by {by} at {at} and is refused to {joiner} from {ip}, which has the same line: if that is a \
             host of yours, invite it anew; if {by} is none, change the ring's key"
        ),
        (Refusal::Used, _) => {
            tracing::info!("invitation {id} is refused to {joiner} from {ip}, which used it already, at {at}")
        }
        (Refusal::Clock, _) => tracing::warn!(
            "invitation {id} is refused to {joiner} from {ip}: it was made at {at}, and this host's clock is before that; set it"
        ),
        (Refusal::Revoked, _) => {
            tracing::info!("invitation {id} is refused to {joiner} from {ip}: it was taken back at {at}")
        }
        _ => tracing::info!("invitation {id} is refused to {joiner} from {ip}: its time was over at {at}"),
    }
}
