//! Who asks, and what every route needs of a request.

use std::net::IpAddr;
use std::sync::Arc;

use annulus_core::PackageIdent;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::answer::Refusal;
use super::{Service, Shared};
use crate::depot::store::Actor;
use crate::depot::{Error, Role, check_target};
use crate::gateway::arrivals::Peer;
use crate::gateway::door::WRONG_SECRET_PAUSE;
use crate::gateway::http::access;
use crate::host::clock;

/// The platform that is meant where neither the request nor its sender names one (as in Habitat).
const TARGET_DEFAULT: &str = "x86_64-linux";

/// Who sent a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    token: Option<String>,
    from: String,
    host: Option<IpAddr>,
    /// The platform of the program that asks, where it says so.
    agent_target: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<access::Caller>().map(|caller| caller.peer);
        // What comes from this host may be a proxy, behind which there are many.
        let host = match peer {
            Some(Peer::Host { from, .. }) => Some(from.ip().to_canonical()).filter(|ip| !ip.is_loopback()),
            _ => None,
        };
        let from = peer.map(|peer| peer.to_string());
        Ok(Self {
            token: bearer(&parts.headers),
            from: from.unwrap_or_default(),
            host,
            agent_target: agent_target(&parts.headers),
        })
    }
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// The platform in `hab/1.6.1 (x86_64-linux; 5.4.0)`.
fn agent_target(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT)?.to_str().ok()?;
    let inside = agent.split_once('(')?.1.split(';').next()?.trim();
    check_target(inside).ok().map(|()| inside.to_owned())
}

impl Caller {
    /// The address of its host, where that is another one than this.
    pub(super) fn host(&self) -> Option<IpAddr> {
        self.host
    }

    /// The platform that a request is about.
    pub(super) fn target(&self, named: Option<&String>) -> Result<String, Refusal> {
        let target = named.cloned().filter(|target| !target.is_empty());
        let target =
            target.or_else(|| self.agent_target.clone()).unwrap_or_else(|| TARGET_DEFAULT.to_owned());
        check_target(&target)?;
        Ok(target)
    }

    /// Lets a request through where its token allows this with the origin.
    pub(super) async fn may(&self, service: &Service, origin: &str, role: Role) -> Result<Actor, Refusal> {
        let (token, origin) = (self.token.clone(), origin.to_owned());
        let admitted =
            service.work(move |store| store.admit(token.as_deref(), &origin, role, clock::wall())).await;
        match admitted {
            Ok(id) => Ok(Actor { token: Some(id), from: self.from.clone() }),
            Err(refusal) => {
                if self.token.is_some() {
                    // Guessing is slow.
                    tokio::time::sleep(WRONG_SECRET_PAUSE).await;
                    tracing::warn!(from = %self.from, "a request to the depot with a token that does not allow it");
                }
                Err(refusal)
            }
        }
    }
}

/// Lets a reader in: all, unless the depot wants a token of readers, too.
pub(super) async fn admit_reader(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    if service.rules.is_private && request.uri().path() != "/status" {
        let parts: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        // Content by its hash is of no origin: who knows the hash was told it by a signed head.
        let origin = match parts[..] {
            ["blobs", ..] => None,
            ["depot", "pkgs", "search", ..] => Some("*"),
            ["depot", _, origin, ..] | ["heads" | "lists" | "pkgs", origin, ..] => Some(origin),
            ["keys", file] => Some(file.rsplit_once('-').map_or("*", |(origin, _)| origin)),
            _ => Some("*"),
        };
        if let Some(origin) = origin
            && let Err(refusal) = caller.may(&service, origin, Role::Read).await
        {
            return refusal.into_response();
        }
    }
    next.run(request).await
}

/// The parts of a path that name a package.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub(super) origin: String,
    #[serde(default)]
    pub(super) channel: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) release: Option<String>,
}

impl Named {
    /// The ident that the parts make.
    pub(super) fn ident(&self) -> Result<PackageIdent, Refusal> {
        let parts = self.parts().join("/");
        parts
            .parse()
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, format!("{parts:?} names no package")))
    }

    /// Its origin, name, version and release, as far as they are named.
    pub(super) fn parts(&self) -> Vec<String> {
        let more = [&self.name, &self.version, &self.release].into_iter().flatten();
        std::iter::once(&self.origin).chain(more).cloned().collect()
    }

    /// The channel of the path.
    pub(super) fn channel(&self) -> Result<String, Refusal> {
        let channel = self.channel.clone().unwrap_or_default();
        crate::depot::check_channel(&channel).map_err(Error::into_refusal)?;
        Ok(channel)
    }
}

impl Error {
    fn into_refusal(self) -> Refusal {
        self.into()
    }
}

/// What may stand behind the question mark.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Asked {
    pub(super) target: Option<String>,
    pub(super) range: Option<i64>,
    pub(super) distinct: Option<bool>,
    pub(super) checksum: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) number: Option<u64>,
    /// Seconds.
    pub(super) wait: Option<u64>,
}

/// The service and who asks it, as all routes have them.
pub(super) type At = State<Arc<Service>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_that_of_the_program_that_asks() {
        for (agent, target) in [
            ("hab/1.6.1090 (x86_64-linux; 5.4.0-42)", Some("x86_64-linux")),
            ("hab/2.0 (aarch64-linux;6)", Some("aarch64-linux")),
            ("curl/8.0", None),
            ("x (../..; y)", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, agent.parse().expect("a header"));
            assert_eq!(agent_target(&headers).as_deref(), target, "{agent}");
        }
    }
}
