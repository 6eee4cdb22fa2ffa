//! The package file: a header of five lines, then a tar archive compressed with xz (as in Habitat). Reads and
//! verifies, and unpacks nothing.
//!
//! ```text
//! HART-1
//! <origin>-<revision of the signing key>
//! BLAKE2b
//! <base64 of a signed message: the hash of all that follows the empty line, as 64 hex digits>
//!
//! <payload> ``` Only the hash in the header is signed, so the header is believed only as far as the key that
//! it names opens the signature.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::Error;
use crate::keys::crypto::{self, Hash, SecretKey};
use crate::keys::{KeyCache, KeyId};

const FORMAT: &str = "HART-1";
const HASH_TYPE: &str = "BLAKE2b";
/// Longest header accepted, in bytes; a real one is below 300.
const HEADER_BYTES_MAX: u64 = 4096;

/// The lines before the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The key that the header names as its signer's.
    pub signer: KeyId,
    /// The signed message: signature and hash.
    pub signature: Vec<u8>,
}

impl Header {
    /// The header of a payload with this hash.
    #[must_use]
    pub fn sign(hash: &Hash, signer: &KeyId, key: &SecretKey) -> Self {
        Self { signer: signer.clone(), signature: crypto::sign(hash.to_string().as_bytes(), key) }
    }

    /// The five lines.
    #[must_use]
    pub fn to_text(&self) -> String {
        let signature = crypto::base64_encode(&self.signature);
        format!("{FORMAT}\n{}\n{HASH_TYPE}\n{signature}\n\n", self.signer)
    }

    /// Reads the five lines.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.split('\n').map(str::trim);
        if lines.next() != Some(FORMAT) {
            return Err("it does not begin with HART-1");
        }
        let signer = lines.next().unwrap_or_default().parse();
        let signer = signer.map_err(|_| "line 2 does not name a signing key")?;
        if lines.next() != Some(HASH_TYPE) {
            return Err("line 3 names another hash than BLAKE2b");
        }
        let signature = lines.next().and_then(crypto::base64_decode);
        let signature = signature.ok_or("line 4 is not a signature in base64")?;
        Ok(Self { signer, signature })
    }
}

/// The key that signed a package, and the hash that it signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHash {
    /// The key.
    pub signer: KeyId,
    /// The hash of the payload.
    pub hash: Hash,
}

/// A package file, open.
#[derive(Debug)]
pub struct Hart {
    path: PathBuf,
    file: File,
    header: Header,
    payload_at: u64,
}

impl Hart {
    /// Opens a file and reads its header; nothing is verified yet.
    ///
    /// # Errors
    /// The file is not readable or does not begin as a package does.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let not = |reason| Error::NotAPackage { path: path.to_owned(), reason };
        // Asked before the file is opened, because opening a pipe would wait until another process writes.
        if !path.metadata().map_err(Error::io(path))?.is_file() {
            return Err(not("it is not a regular file"));
        }
        let file = File::open(path).map_err(Error::io(path))?;
        let mut start = Vec::new();
        (&file).take(HEADER_BYTES_MAX).read_to_end(&mut start).map_err(Error::io(path))?;
        if !start.starts_with(FORMAT.as_bytes()) {
            return Err(not("it does not begin with HART-1"));
        }
        let end = header_end(&start).ok_or_else(|| not("its header has no end"))?;
        let text = std::str::from_utf8(&start[..end]).map_err(|_| not("its header is not text"))?;
        let header = Header::parse(text).map_err(not)?;
        Ok(Self { path: path.to_owned(), file, header, payload_at: end as u64 })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its header, unverified.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks signature and content against the public key that the header names.
    ///
    /// # Errors
    /// The key is not in the cache, the signature is not the key's, or the content is not what was signed.
    pub fn verify(&mut self, keys: &KeyCache) -> Result<SignedHash, Error> {
        let signed = self.signed_hash(keys)?;
        let path = self.path.clone();
        let actual = crypto::hash_reader(&mut self.payload()?).map_err(Error::io(&path))?;
        if actual != signed.hash {
            return Err(Error::Hash { path, signed: signed.hash, actual });
        }
        Ok(signed)
    }

    fn signed_hash(&self, keys: &KeyCache) -> Result<SignedHash, Error> {
        let key = keys.origin_public(&self.header.signer)?;
        let message = crypto::open_signed(&self.header.signature, &key);
        let hash = message.and_then(|message| std::str::from_utf8(&message).ok()?.parse().ok());
        let hash = hash.ok_or_else(|| Error::Signature {
            path: self.path.clone(),
            signer: self.header.signer.clone(),
        })?;
        Ok(SignedHash { signer: self.header.signer.clone(), hash })
    }

    /// The compressed archive from its beginning.
    ///
    /// # Errors
    /// The file cannot be positioned.
    pub fn payload(&mut self) -> Result<impl Read + use<>, Error> {
        let rewound = self.file.seek(SeekFrom::Start(self.payload_at));
        rewound.map_err(Error::io(&self.path))?;
        let file = self.file.try_clone().map_err(Error::io(&self.path))?;
        Ok(BufReader::with_capacity(128 * 1024, file))
    }
}

/// Where the payload begins: after the fifth line, which is empty.
fn header_end(bytes: &[u8]) -> Option<usize> {
    let mut line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let (fourth, fifth) = (line_ends.nth(3)?, line_ends.next()?);
    let between = bytes.get(fourth + 1..fifth)?;
    between.iter().all(u8::is_ascii_whitespace).then_some(fifth + 1)
}
