//! Asks a depot: one of this program, or Habitat's Builder. Sends what it is told to, and believes nothing; what an answer is
//! worth is decided in `pins` and `fetch`.

mod download;
mod proxy;
mod retry;
mod transport;
mod url;

use std::io::{self, Seek as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use annulus_core::PackageIdent;
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::sleep;

pub(crate) use download::{What, part_of};
pub use url::Url;

use super::list::ListedKey;
use super::record::Ident;
use super::tree::{UNSTABLE, check_channel};
use super::{Error, Record};
use crate::keys::KeyId;
use crate::keys::crypto::Hash;
use transport::{ANSWER_TIMEOUT, Answer, Ask};

/// The variable that names the depot.
pub const URL_ENV: &str = "HAB_BLDR_URL";
/// The variable that names the channel.
pub const CHANNEL_ENV: &str = "HAB_BLDR_CHANNEL";
/// The variable that holds the token.
pub const TOKEN_ENV: &str = "HAB_AUTH_TOKEN";

/// Pieces in which a file is sent, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// So many packages that are held back are named.
const HELD_BACK_MAX: usize = 100;
/// Most pages of a list that are read.
const PAGES_MAX: usize = 10_000;

/// A depot, and who asks it.
#[derive(Clone, Debug)]
pub struct Client {
    url: Url,
    token: Option<String>,
    /// Whether it is asked without a proxy, whatever the environment says.
    is_direct: bool,
}

/// A channel as a depot lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// Since when a package is in it, where the depot says so.
    #[serde(default)]
    pub promoted_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    range_end: i64,
    #[serde(default)]
    total_count: i64,
    data: Vec<Ident>,
}

/// What a depot says of a channel's head.
#[derive(Debug)]
pub enum HeadAnswer {
    /// It is this text.
    Text(String),
    /// It has not changed within the time.
    Unchanged,
    /// The depot has none.
    None,
}

impl Client {
    /// Of this depot, with a token where it is to be shown.
    #[must_use]
    pub fn new(url: Url, token: Option<String>) -> Self {
        Self { url, token: token.filter(|token| !token.trim().is_empty()), is_direct: false }
    }

    /// Asks without a proxy: what is not named by an address, but is a member of the ring.
    #[must_use]
    pub fn directly(mut self) -> Self {
        self.is_direct = true;
        self
    }

    /// The depot.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    async fn send(&self, method: Method, path: String, body: Option<String>) -> Result<Answer, Error> {
        let ask = Ask {
            method,
            path,
            headers: HeaderMap::new(),
            token: self.token.as_deref(),
            is_direct: self.is_direct,
            within: ANSWER_TIMEOUT,
        };
        self.ask(&ask, || body.clone().map_or_else(transport::empty, transport::full)).await
    }

    /// Sends a request, and sends it again after a while where the depot has too much to do.
    async fn ask(
        &self,
        ask: &Ask<'_>,
        body: impl Fn() -> transport::Body + Send + Sync,
    ) -> Result<Answer, Error> {
        let mut tries = 1;
        loop {
            let answer = transport::send(&self.url, ask, body()).await;
            match retry::pause(&answer, ask.method == Method::GET).filter(|_| tries < retry::TRIES) {
                Some(pause) => sleep(pause).await,
                None => return answer,
            }
            tries += 1;
        }
    }

    /// What a `GET` brings; none where the depot has no such thing.
    async fn get(&self, path: String) -> Result<Option<String>, Error> {
        let answer = self.send(Method::GET, path, None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.good().await?.text().await.map(Some)
    }

    fn read<'a, T: Deserialize<'a>>(&self, text: &'a str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|e| self.nonsense(e.to_string()))
    }

    /// Channels by names that can be those of channels.
    fn read_channels(&self, text: &str) -> Result<Vec<Channel>, Error> {
        let channels: Vec<Channel> = self.read(text)?;
        let wrong = channels.iter().find(|channel| check_channel(&channel.name).is_err());
        match wrong {
            None => Ok(channels),
            Some(wrong) => Err(self.nonsense(format!("{:?} is no name of a channel", wrong.name))),
        }
    }

    fn nonsense(&self, reason: impl Into<String>) -> Error {
        Error::Nonsense { url: self.url.to_string(), reason: reason.into() }
    }

    /// The newest package of a channel that satisfies an ident; a fully qualified one where it is in the channel.
    ///
    /// # Errors
    /// The depot cannot be asked, or its answer makes no sense.
    pub async fn latest(
        &self,
        channel: &str,
        wanted: &PackageIdent,
        target: &str,
    ) -> Result<Option<Record>, Error> {
        let last = if wanted.is_fully_qualified() { "" } else { "/latest" };
        let parts = below_origin(wanted);
        let path = format!("depot/channels/{}/{channel}/pkgs/{parts}{last}?target={target}", wanted.origin());
        let mut text = self.get(path).await?;
        if text.is_none() && wanted.is_fully_qualified() && channel == UNSTABLE {
            // A tree without a program that serves it has files alone.
            text = self.get(format!("pkgs/{wanted}/{target}.json")).await?;
        }
        let Some(text) = text else { return Ok(None) };
        let record: Record = self.read(&text)?;
        match record.ident().filter(|ident| ident.satisfies(wanted)) {
            Some(_) => Ok(Some(record)),
            None => Err(self.nonsense(format!("it was asked for {wanted} and names another package"))),
        }
    }

    /// The signed head of a channel; with `after`, waits so long for a number above that one.
    ///
    /// # Errors
    /// The depot cannot be asked.
    pub async fn head(
        &self,
        (origin, channel, target): (&str, &str, &str),
        after: Option<(u64, Duration)>,
    ) -> Result<HeadAnswer, Error> {
        let mut path = format!("heads/{origin}/{channel}/{target}/current");
        let mut within = ANSWER_TIMEOUT;
        if let Some((number, wait)) = after {
            path = format!("{path}?number={number}&wait={}", wait.as_secs());
            within += wait;
        }
        let ask = Ask {
            method: Method::GET,
            path,
            headers: HeaderMap::new(),
            token: self.token.as_deref(),
            is_direct: self.is_direct,
            within,
        };
        let answer = self.ask(&ask, transport::empty).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(HeadAnswer::None),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(HeadAnswer::Unchanged),
            _ => answer.good().await?.text().await.map(HeadAnswer::Text),
        }
    }

    /// A list of an origin's keys by its number, the newest where none is given.
    ///
    /// # Errors
    /// The depot cannot be asked.
    pub async fn list(&self, origin: &str, number: Option<u64>) -> Result<Option<String>, Error> {
        let file = number.map_or_else(|| "current".to_owned(), |number| format!("{number}.list"));
        self.get(format!("lists/{origin}/{file}")).await
    }

    /// Gives the depot the next list of an origin's keys. Returns what its channels hold back from then on.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn put_list(&self, origin: &str, text: String) -> Result<Vec<String>, Error> {
        let answer = self.send(Method::POST, format!("lists/{origin}"), Some(text)).await?.good().await?;
        Ok(held_back(&answer.text().await?))
    }

    /// The key by which the depot is to say what the channels of an origin hold.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses; other depots have none.
    pub async fn channel_key(&self, origin: &str) -> Result<ListedKey, Error> {
        let path = format!("lists/{origin}/channel-key");
        let text = self.send(Method::GET, path, None).await?.good().await?.text().await?;
        self.read(&text)
    }

    /// A public key of an origin, as text; the newest where no revision is named.
    ///
    /// # Errors
    /// The depot cannot be asked.
    pub async fn key(&self, origin: &str, revision: Option<&str>) -> Result<Option<String>, Error> {
        let found = self.get(format!("depot/origins/{origin}/keys/{}", revision.unwrap_or("latest"))).await?;
        match (found, revision) {
            // A tree without a program that serves it has files alone.
            (None, Some(revision)) => self.get(format!("keys/{origin}-{revision}.pub")).await,
            (found, _) => Ok(found),
        }
    }

    /// The newest secret key of an origin, as text.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn secret_key(&self, origin: &str) -> Result<Option<String>, Error> {
        self.get(format!("depot/origins/{origin}/secret_keys/latest")).await
    }

    /// Gives the depot a key of an origin; whether it was new there.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn put_key(&self, id: &KeyId, text: String, is_secret: bool) -> Result<bool, Error> {
        let folder = if is_secret { "secret_keys" } else { "keys" };
        let path = format!("depot/origins/{}/{folder}/{}", id.name(), id.revision());
        let answer = self.send(Method::POST, path, Some(text)).await?;
        if answer.status() == StatusCode::CONFLICT && !is_secret {
            return Ok(false);
        }
        answer.good().await.map(|_| true)
    }

    /// Sends a package. `sent` hears how many bytes have gone.
    ///
    /// # Errors
    /// The file cannot be read, or the depot cannot be asked or refuses.
    pub async fn upload(
        &self,
        (ident, target): (&PackageIdent, &str),
        checksum: &Hash,
        file: &Path,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let opened = std::fs::File::open(file).map_err(Error::io(file))?;
        let size = opened.metadata().map_err(Error::io(file))?.len();
        let sent: Sent = Arc::new(sent);
        let path = format!("depot/pkgs/{ident}?checksum={checksum}&target={target}&forced=false");
        let mut headers = HeaderMap::new();
        headers.insert(hyper::header::CONTENT_LENGTH, HeaderValue::from(size));
        // The depot answers when all has come and was verified.
        let within = ANSWER_TIMEOUT + Duration::from_secs(size / (64 * 1024));
        let ask = Ask {
            method: Method::POST,
            path,
            headers,
            token: self.token.as_deref(),
            is_direct: self.is_direct,
            within,
        };
        let body = || {
            let again = opened.try_clone().and_then(|mut file| file.rewind().map(|()| file));
            match again {
                Ok(file) => {
                    let file = tokio::fs::File::from_std(file);
                    StreamBody::new(Pieces { file, sent: Arc::clone(&sent), done: 0 }).boxed()
                }
                // The depot sees that the body is too short.
                Err(_) => transport::empty(),
            }
        };
        self.ask(&ask, body).await?.good().await.map(drop)
    }

    /// Puts a package into a channel, or takes it out.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn set_channel(
        &self,
        ident: &PackageIdent,
        target: &str,
        channel: &str,
        is_in: bool,
    ) -> Result<(), Error> {
        let verb = if is_in { "promote" } else { "demote" };
        let (origin, parts) = (ident.origin(), below_origin(ident));
        let path = format!("depot/channels/{origin}/{channel}/pkgs/{parts}/{verb}?target={target}");
        self.send(Method::PUT, path, None).await?.good().await.map(drop)
    }

    /// Puts all that one channel holds into another, or takes it out. Returns what was left out, because its key counts no more.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn move_channel(
        &self,
        origin: &str,
        (from, to): (&str, &str),
        is_in: bool,
    ) -> Result<Vec<String>, Error> {
        let verb = if is_in { "promote" } else { "demote" };
        let path = format!("depot/channels/{origin}/{from}/pkgs/{verb}?channel={to}");
        let answer = self.send(Method::PUT, path, None).await?.good().await?;
        Ok(held_back(&answer.text().await?))
    }

    /// Makes a channel; whether it was new.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn make_channel(&self, origin: &str, channel: &str) -> Result<bool, Error> {
        let path = format!("depot/channels/{origin}/{channel}");
        let answer = self.send(Method::POST, path, None).await?;
        if answer.status() == StatusCode::CONFLICT {
            return Ok(false);
        }
        answer.good().await.map(|_| true)
    }

    /// Removes a channel.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn remove_channel(&self, origin: &str, channel: &str) -> Result<(), Error> {
        let path = format!("depot/channels/{origin}/{channel}");
        self.send(Method::DELETE, path, None).await?.good().await.map(drop)
    }

    /// The channels of an origin; none where the depot does not know it.
    ///
    /// # Errors
    /// The depot cannot be asked, or its answer makes no sense.
    pub async fn channels(&self, origin: &str) -> Result<Option<Vec<Channel>>, Error> {
        match self.get(format!("depot/channels/{origin}?sandbox=true")).await? {
            Some(text) => self.read_channels(&text).map(Some),
            None => Ok(None),
        }
    }

    /// The channels that a package is in; none where the depot does not have it.
    ///
    /// # Errors
    /// The depot cannot be asked, or its answer makes no sense.
    pub async fn channels_of(
        &self,
        ident: &PackageIdent,
        target: &str,
    ) -> Result<Option<Vec<Channel>>, Error> {
        match self.get(format!("depot/pkgs/{ident}/channels?target={target}")).await? {
            Some(text) => self.read_channels(&text).map(Some),
            None => Ok(None),
        }
    }

    /// Packages whose origin or name contains a word, at most so many.
    ///
    /// # Errors
    /// The depot cannot be asked, or its answer makes no sense.
    pub async fn search(&self, word: &str, limit: usize) -> Result<(Vec<PackageIdent>, usize), Error> {
        let (mut found, mut total) = (Vec::new(), 0);
        for _ in 0..PAGES_MAX {
            let path = format!("depot/pkgs/search/{}?range={}&distinct=false", escape(word), found.len());
            let Some(text) = self.get(path).await? else { break };
            let page: Page = self.read(&text)?;
            total = usize::try_from(page.total_count).unwrap_or_default();
            let before = found.len();
            found.extend(page.data.iter().filter_map(Ident::ident));
            if found.len() >= limit || found.len() == before || page.range_end + 1 >= page.total_count {
                break;
            }
        }
        found.truncate(limit);
        let total = total.max(found.len());
        Ok((found, total))
    }

    /// Removes a package from the depot.
    ///
    /// # Errors
    /// The depot cannot be asked, or refuses.
    pub async fn delete(&self, ident: &PackageIdent, target: &str) -> Result<(), Error> {
        let path = format!("depot/pkgs/{ident}?target={target}");
        self.send(Method::DELETE, path, None).await?.good().await.map(drop)
    }
}

fn below_origin(ident: &PackageIdent) -> String {
    let parts = [Some(ident.name()), ident.version(), ident.release()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// The packages that an answer names as held back: other depots name none.
fn held_back(text: &str) -> Vec<String> {
    let said: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let lines = said.get("held_back").and_then(|lines| lines.as_array()).into_iter().flatten();
    lines.filter_map(|line| line.as_str()).map(transport::plain).take(HELD_BACK_MAX).collect()
}

/// A word as a part of a path.
fn escape(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    word.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Hears how many bytes have gone.
type Sent = Arc<dyn Fn(u64) + Send + Sync>;

/// A file in pieces.
struct Pieces {
    file: tokio::fs::File,
    sent: Sent,
    done: u64,
}

impl futures_core::Stream for Pieces {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut piece = vec![0; PIECE_BYTES];
        let mut room = ReadBuf::new(&mut piece);
        let read = ready!(Pin::new(&mut self.file).poll_read(cx, &mut room));
        let bytes = room.filled().len();
        Poll::Ready(match read {
            Ok(()) if bytes == 0 => None,
            Ok(()) => {
                self.done += bytes as u64;
                (self.sent)(self.done);
                piece.truncate(bytes);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_part_of_a_path() {
        assert_eq!(escape("core/re dis?ä"), "core%2Fre%20dis%3F%C3%A4");
        assert_eq!(below_origin(&"a/b/1.0".parse().expect("an ident")), "b/1.0");
    }
}
