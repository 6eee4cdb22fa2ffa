//! The address of a depot: `http://` or `https://`, a host, perhaps a port and a path.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

use crate::depot::Error;

/// A depot's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Before what is asked for; without a slash at its end.
    prefix: String,
}

impl Url {
    /// The whole path of what is asked for.
    pub(super) fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.prefix)
    }

    /// What the header Host says.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let is_usual = self.port == if self.is_tls { 443 } else { 80 };
        if is_usual { host } else { format!("{host}:{}", self.port) }
    }

    /// Another place that an answer points to, and the path there.
    pub(super) fn redirected(&self, to: &str) -> Result<(Self, String), Error> {
        if to.starts_with('/') {
            return Ok((self.clone(), to.to_owned()));
        }
        let uri: Uri = to.parse().map_err(|_| wrong(to, "it cannot be read"))?;
        let path = uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str).to_owned();
        let url: Self = to.parse()?;
        if self.is_tls && !url.is_tls {
            return Err(wrong(to, "the depot points from https to http"));
        }
        Ok((url, path))
    }
}

fn wrong(text: &str, reason: impl Into<String>) -> Error {
    Error::Url { url: text.chars().take(200).collect(), reason: reason.into() }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let uri: Uri = text.trim().parse().map_err(|_| wrong(text, "it cannot be read"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(wrong(text, "depots speak http and https")),
            None => return Err(wrong(text, "it does not begin with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong(text, "it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong(text, "it holds a user; a token is given with -z or HAB_AUTH_TOKEN"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong(text, "it names no host"));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong(text, "its port is none"));
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        // An address without a path means the API's first version (as in Habitat).
        let prefix = match uri.path().trim_end_matches('/') {
            "" => "/v1".to_owned(),
            path => path.to_owned(),
        };
        Ok(Self { is_tls, host, port, prefix })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let prefix = if self.prefix == "/v1" { "" } else { &self.prefix };
        write!(f, "{scheme}://{}{prefix}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_means_version_one() {
        for (text, path, authority, shown) in [
            ("https://bldr.habitat.sh", "/v1/x", "bldr.habitat.sh", "https://bldr.habitat.sh"),
            ("http://10.0.0.1:8080/", "/v1/x", "10.0.0.1:8080", "http://10.0.0.1:8080"),
            ("http://[::1]:9", "/v1/x", "[::1]:9", "http://[::1]:9"),
            ("https://a.example/depot/v1", "/depot/v1/x", "a.example", "https://a.example/depot/v1"),
        ] {
            let url: Url = text.parse().expect(text);
            assert_eq!((url.path("x").as_str(), url.authority().as_str()), (path, authority));
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (text, why) in [
            ("", "cannot be read"),
            ("bldr.habitat.sh", "does not begin"),
            ("ftp://a", "http and https"),
            ("https://me:secret@a", "a user"),
            ("http://a:99999", "port"),
            ("http://a:0", "port"),
        ] {
            let error = text.parse::<Url>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_depot_points_elsewhere_and_never_out_of_tls() {
        let url: Url = "https://a".parse().expect("an address");
        assert_eq!(url.redirected("/b?c").expect("a path"), (url.clone(), "/b?c".to_owned()));
        let (there, path) = url.redirected("https://s3.example/x/y?z=1").expect("an address");
        assert_eq!((there.host.as_str(), path.as_str()), ("s3.example", "/x/y?z=1"));
        assert!(url.redirected("http://a/x").is_err());
    }
}
