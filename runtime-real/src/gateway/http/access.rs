//! Who may see what. Looks at a request before its route does: the name that the client asked for, the token, and where the
//! client is. Shows nothing itself.
//!
//! | client | sees |
//! |---|---|
//! | with the token, where there is one; with a certificate, where those are asked for; each, with `--http-open` | everything |
//! | of this host, without a token | everything; a service's whole configuration only as root or the supervisor's user |
//! | of another host, without a token | names and states |
//!
//! A page in a browser may reach this gateway under a name of its own that it lets point here. Its requests carry that name,
//! so a name must be known here. An address is never such a name: what a browser got from an address it does not give to a
//! page that came from elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{Gateway, PROBES};
use crate::gateway::arrivals::Peer;
use crate::gateway::ctl::secret::Secret;
use crate::gateway::{disk, door};
use crate::host::socket_owner::{self, Owner};

/// How the rest is got by a client that sees names and states only.
pub(super) const LIMITED: &str = "names and states only, because this came from another host without a token: ask at the host \
     itself, give the supervisor a token (HAB_SUP_GATEWAY_AUTH_TOKEN) and send it as `Authorization: Bearer <token>`, or \
     start it with --http-open";
/// The header of answers that are limited.
const LIMITED_HEADER: &str = "annulus-limited";
/// Headers with which a proxy says that it asks for another client.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];
/// Any name, as an operator writes it.
const ANY_NAME: &str = "*";

/// The rules of an operator.
#[derive(Debug, Default)]
pub struct Rules {
    /// The token that a client must show.
    pub token: Option<Secret>,
    /// Every client sees everything (as in Habitat).
    pub open: bool,
    /// Names by which clients may call this host, beside its own.
    pub names: Vec<String>,
}

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) struct Caller {
    pub(in crate::gateway) peer: Peer,
    /// Whether it has shown a certificate that counts here.
    pub(super) is_certified: bool,
}

/// A client of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    from: SocketAddr,
    to: Option<SocketAddr>,
    owner: Owner,
}

impl Asker {
    /// The user, as the kernel tells.
    async fn user(self) -> Option<u32> {
        match (self.owner, self.to) {
            (Owner::User(uid), _) => Some(uid),
            (Owner::Untold, Some(to)) => {
                disk::read(move || socket_owner::listed(self.from, to)).await.ok()?.ok()?
            }
            (Owner::Untold | Owner::Unknown, _) => None,
        }
    }
}

/// The part of what this supervisor knows that a client may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Everything.
    Full,
    /// Everything; a service's whole configuration only if the user of the host who asks may.
    Local(Asker),
    /// Names and states.
    Limited,
}

impl Sight {
    fn of(rules: &Rules, caller: Caller, headers: &HeaderMap) -> Self {
        if rules.open || rules.token.is_some() || caller.is_certified {
            return Self::Full;
        }
        let is_forwarded = FORWARDED.iter().any(|name| headers.contains_key(*name));
        match caller.peer {
            Peer::Host { from, to, owner } if from.ip().is_loopback() && !is_forwarded => {
                Self::Local(Asker { from, to, owner })
            }
            _ => Self::Limited,
        }
    }

    pub(super) fn is_limited(self) -> bool {
        self == Self::Limited
    }

    /// Refuses what a client that sees names and states only cannot have.
    pub(super) fn wants_more(self) -> Result<(), Problem> {
        if self.is_limited() { Err(Problem::new(StatusCode::FORBIDDEN, LIMITED)) } else { Ok(()) }
    }

    /// Refuses the whole configuration of a service, which may hold secrets, to all but operators.
    pub(super) async fn wants_configuration(self) -> Result<(), Problem> {
        self.wants_more()?;
        if self.is_operators().await {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "configuration may hold secrets, so without a token only root and the supervisor's own user get it: ask as one \
             of them, or give the supervisor a token (HAB_SUP_GATEWAY_AUTH_TOKEN) and send it",
        ))
    }

    /// Whether no other user of this host asks than root and the supervisor's own.
    pub(super) async fn is_operators(self) -> bool {
        let Self::Local(asker) = self else { return !self.is_limited() };
        asker.user().await.is_some_and(door::is_operator)
    }

    /// The user of this host who asks, where that is no operator. None is an unknown one.
    pub(super) async fn other_user(self) -> Option<Option<u32>> {
        let Self::Local(asker) = self else { return None };
        let user = asker.user().await;
        if user.is_some_and(door::is_operator) { None } else { Some(user) }
    }
}

/// Lets a request through to its route, with what its client may see.
pub(super) async fn admit(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let rules = &gateway.config.rules;
    let is_probe = PROBES.contains(&request.uri().path());
    if !is_probe {
        if let Err(problem) = check_name(&request, &gateway.config.sys.hostname, &rules.names) {
            return problem.into_response();
        }
        if let Err(problem) = check_token(request.headers(), rules.token.as_ref()) {
            let shows_one = request.headers().contains_key(header::AUTHORIZATION);
            if let Some(caller) = request.extensions().get::<Caller>().filter(|_| shows_one) {
                tracing::warn!(peer = %caller.peer, "HTTP client refused: its token is wrong");
                // Guessing is slow, as at the ctl gateway.
                tokio::time::sleep(door::WRONG_SECRET_PAUSE).await;
            }
            return problem.into_response();
        }
    }
    let caller = request.extensions().get::<Caller>().copied();
    let sight = caller.map_or(Sight::Limited, |caller| Sight::of(rules, caller, request.headers()));
    request.extensions_mut().insert(sight);
    let mut response = next.run(request).await;
    if sight.is_limited() && !is_probe {
        response.headers_mut().insert(LIMITED_HEADER, HeaderValue::from_static(LIMITED));
    }
    response
}

fn check_token(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), Problem> {
    let Some(token) = token else { return Ok(()) };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    // The name of a scheme is the same in small letters (RFC 9110, 11.1).
    let shown = shown.and_then(|value| value.split_once(' '));
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let shown = shown.map(|(_, token)| token).unwrap_or_default();
    if token.matches(shown.trim()) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "send the header `Authorization: Bearer <token>` with this supervisor's token",
    ))
}

/// Refuses a request that was sent to a name which is not known here.
fn check_name(request: &Request, own: &str, names: &[String]) -> Result<(), Problem> {
    let bad =
        || Problem::new(StatusCode::BAD_REQUEST, "the header Host names no host: send HOST or HOST:PORT");
    let mut asked = Vec::new();
    asked.extend(request.uri().authority().cloned());
    for value in request.headers().get_all(header::HOST) {
        let text = value.to_str().ok().filter(|text| !text.contains('@'));
        asked.push(text.and_then(|text| text.parse::<Authority>().ok()).ok_or_else(bad)?);
    }
    // Before version 1.1 clients had no such header to send. Every browser sends it.
    if asked.is_empty() && request.version() >= Version::HTTP_11 {
        return Err(bad());
    }
    match asked.iter().find(|authority| !is_known(authority.host(), own, names)) {
        None => Ok(()),
        Some(unknown) => {
            let name = unknown.host();
            Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "this gateway does not know the name {name:?}: ask by address, or start the supervisor with --http-host \
                     {name} if the name is meant for it"
                ),
            ))
        }
    }
}

fn is_known(host: &str, own: &str, names: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is = |name: &str| {
        let end = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        end(host) == end(name)
    };
    let is_loopback =
        is("localhost") || host.to_ascii_lowercase().trim_end_matches('.').ends_with(".localhost");
    let short = own.split('.').next().unwrap_or_default();
    is_loopback
        || (!own.is_empty() && (is(own) || is(short)))
        || names.iter().any(|name| name == ANY_NAME || is(name))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn asked(uri: &str, hosts: &[&str], version: Version) -> Result<(), StatusCode> {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(Body::empty()).expect("a request");
        check_name(&request, "web1.example.com", &["ring.example.com".to_owned()])
            .map_err(|problem| problem.into_response().status())
    }

    #[test]
    fn only_names_of_this_host_are_answered_to() {
        let one = |host: &str| asked("/services", &[host], Version::HTTP_11);
        for known in [
            "localhost",
            "LocalHost:9631",
            "a.localhost",
            "127.0.0.1:9631",
            "[::1]:9631",
            "[::1]",
            "192.0.2.7",
            "web1",
            "web1.example.com.",
            "WEB1.example.com:80",
            "ring.example.com:9631",
        ] {
            assert_eq!(one(known), Ok(()), "{known}");
        }
        for unknown in [
            "evil.example.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "web1.evil.com",
            "notlocalhost",
            "example.com",
        ] {
            assert_eq!(one(unknown), Err(StatusCode::MISDIRECTED_REQUEST), "{unknown}");
        }
        for bad in ["", "a b", "user@localhost", "localhost/x"] {
            assert_eq!(one(bad), Err(StatusCode::BAD_REQUEST), "{bad:?}");
        }
        let rebound = asked("http://evil.example.com/services", &["localhost"], Version::HTTP_11);
        assert_eq!(rebound, Err(StatusCode::MISDIRECTED_REQUEST), "the address line counts too");
        let two = asked("/services", &["localhost", "evil.example.com"], Version::HTTP_11);
        assert_eq!(two, Err(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(asked("/services", &[], Version::HTTP_11), Err(StatusCode::BAD_REQUEST));
        assert_eq!(asked("/services", &[], Version::HTTP_10), Ok(()), "load balancers that send none");
        assert!(is_known("anything", "web1", &["*".to_owned()]) && !is_known("anything", "", &[]));
    }

    #[test]
    fn another_host_sees_less_than_this_one() {
        let at = |peer: &str, is_certified| Caller {
            peer: Peer::Host { from: peer.parse().expect("an address"), to: None, owner: Owner::Unknown },
            is_certified,
        };
        let (here, there) = (at("127.0.0.1:5", false), at("10.0.0.9:5", false));
        let (none, plain) = (Rules::default(), HeaderMap::new());
        assert!(matches!(Sight::of(&none, here, &plain), Sight::Local(_)));
        assert!(matches!(Sight::of(&none, at("[::1]:5", false), &plain), Sight::Local(_)));
        assert_eq!(Sight::of(&none, there, &plain), Sight::Limited);
        assert_eq!(Sight::of(&none, at("10.0.0.9:5", true), &plain), Sight::Full);
        for name in FORWARDED {
            let proxied =
                HeaderMap::from_iter([(name.parse().expect("a name"), HeaderValue::from_static("10.0.0.9"))]);
            assert_eq!(Sight::of(&none, here, &proxied), Sight::Limited, "{name}: a proxy asks for another");
        }
        assert_eq!(Sight::of(&Rules { open: true, ..Rules::default() }, there, &plain), Sight::Full);
        let token = Rules { token: Some(Secret::new("sesame")), ..Rules::default() };
        assert_eq!(Sight::of(&token, there, &plain), Sight::Full, "who has no token does not come this far");
    }
}
