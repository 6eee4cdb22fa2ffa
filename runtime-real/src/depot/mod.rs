//! Depots: where packages come from. A depot is a tree of files that any web server could serve; this program serves it as
//! Habitat's client asks for it, and asks depots, Habitat's Builder among them.
//!
//! - `tree` knows where everything lies, `record` describes a package, `envelope` signs texts.
//! - `list` and `head` are the two signed texts: which keys count for an origin, and what a channel holds.
//! - `token` says who may write; `audit` writes down who did what.
//! - `store` changes a tree: each change is verified before, and whole or not there.
//! - `client` asks a depot over HTTP; `pins` remembers what was accepted before, so that no depot can take it back;
//!   `fetch` brings a package with everything that it needs into the artifact cache, and `host` installs it from there.
//!
//! What is trusted: a package because of its origin's signature, whichever way it came. A channel because of a head file:
//! numbered, whole, and signed by a channel key that the origin's numbered list of keys names. A list because the list before
//! it names its signer; the first one is pinned when it is first seen, or by a public key of the origin that is on this host.
//! Hash and signature decide, never the source.

mod audit;
pub mod client;
mod envelope;
mod error;
mod fetch;
mod head;
mod host;
mod list;
mod pins;
mod record;
pub mod store;
mod token;
mod tree;

pub use error::Error;
pub use fetch::{Fetched, Fetching, Report, Wanted};
pub use head::{Entry, Head};
pub use host::{Quiet, client as client_of, install, install_newest};
pub use list::{ListedKey, OriginList};
pub(crate) use pins::fingerprint;
pub use pins::{Accepted, Pins};
pub use record::{Ident, Record};
pub use token::{Role, Token};
pub(crate) use tree::artifact;
pub use tree::{STABLE, Tree, UNSTABLE, check_channel, check_origin, check_target};
