//! Reads certificates and keys, PEM, and checks that they can be used. Every error names the file and what to do.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annulus_core::UnixTime;
use thiserror::Error;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{self, CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore, ServerConfig};

use super::version_1;
use crate::host::small_file;

/// The only protocol that is spoken over TLS and has a name there; ctl clients name none.
const ALPN: &[u8] = b"http/1.1";
/// Longest file, in bytes.
const BYTES_MAX: u64 = 1 << 20;
/// Modes of a key's file that are refused: others may do nothing, its group may read.
const KEY_MODE_REFUSED: u32 = 0o037;

/// What the implementation says of an authority's certificate that is shown as a server's.
const AUTHORITY: &str = "CaUsedAsEndEntity";
/// Some eleven years: as far as the time of a certificate is looked into.
const SECONDS_MAX: u64 = 360_000_000;
/// A certificate of which less than this part of its time is left should have been renewed.
const RENEWED_BEFORE: u64 = 5;

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A certificate, with those of the authorities between it and a known one.
    Certificate,
    /// The certificates of authorities.
    Authorities,
    /// A private key.
    Key,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "TLS certificate",
            Self::Authorities => "TLS authorities",
            Self::Key => "TLS key",
        })
    }
}

/// Why files cannot be used for TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{kind} {path}: {source}")]
    Read {
        /// What it should hold.
        kind: Kind,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Others can read or change the key.
    #[error(
        "TLS key {path} has mode {mode:03o}, so that others can read or change it; run `chmod 600 {path}`"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{kind} {path}: {reason}")]
    Content {
        /// What it should hold.
        kind: Kind,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Certificate and key do not belong together.
    #[error(
        "TLS key {key} is not the key of the certificate {cert} (the first in that file); give the key with which that \
         certificate was requested"
    )]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The implementation of TLS refuses the files for another reason.
    #[error("TLS with {path}: {reason}")]
    Refused {
        /// The certificate's file.
        path: PathBuf,
        /// The reason, in the words of the implementation.
        reason: String,
    },
}

/// The files of a supervisor's gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those of the authorities between it and one that clients know.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities whose certificates clients must have; none when clients need no certificate.
    pub authorities: Option<PathBuf>,
}

/// What tells a file from the one that took its place.
pub(super) type Stamp = Option<(u64, u64, i64, i64, u64)>;

impl Files {
    /// Where the files stand now.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &Path| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size()))
        };
        [&self.cert, &self.key].into_iter().chain(&self.authorities).map(|path| stamp(path)).collect()
    }

    /// Reads and checks them.
    pub(super) fn load(&self, now: UnixTime) -> Result<(ServerConfig, Lifetime), TlsError> {
        let (chain, key) = (certificates(Kind::Certificate, &self.cert)?, private_key(&self.key)?);
        let lifetime = check_now(&self.cert, &chain, now)?;
        let refused = |error: Error| match error {
            Error::InconsistentKeys(_) => {
                TlsError::Mismatch { cert: self.cert.clone(), key: self.key.clone() }
            }
            other => TlsError::Refused { path: self.cert.clone(), reason: other.to_string() },
        };
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let builder = match &self.authorities {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider());
                let verifier =
                    verifier.build().map_err(|error| content(Kind::Authorities, path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(refused)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok((config, lifetime))
    }
}

/// The one implementation of ciphers: it builds with a C compiler alone.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn content(kind: Kind, path: &Path, reason: impl Into<String>) -> TlsError {
    TlsError::Content { kind, path: path.to_owned(), reason: reason.into() }
}

fn read(
    kind: Kind,
    path: &Path,
    check: impl FnOnce(&File) -> Result<(), TlsError>,
) -> Result<Vec<u8>, TlsError> {
    let io = |source| TlsError::Read { kind, path: path.to_owned(), source };
    let file = small_file::open(path).map_err(io)?;
    check(&file)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// All certificates of a file; one at least.
pub(super) fn certificates(kind: Kind, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(kind, path, |_| Ok(()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| content(kind, path, malformed(&error)))?;
    if found.is_empty() {
        let what = "it holds no certificate; a certificate begins with `-----BEGIN CERTIFICATE-----`";
        return Err(content(kind, path, what));
    }
    if found.iter().any(|certificate| kind == Kind::Certificate && version_1::is(certificate)) {
        return Err(content(kind, path, version_1::REFUSED));
    }
    Ok(found)
}

/// Stands in every form of PEM with a password.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// The key of a file that others cannot read.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(Kind::Key, path, |file| {
        let io = |source| TlsError::Read { kind: Kind::Key, path: path.to_owned(), source };
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        match mode & KEY_MODE_REFUSED {
            0 => Ok(()),
            _ => Err(TlsError::Mode { path: path.to_owned(), mode }),
        }
    })?;
    if bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        let path_text = path.display();
        let why = format!(
            "it is encrypted, and no one is there to type its password; give a decrypted one, made with \
             `openssl pkey -in {path_text} -out NEW`"
        );
        return Err(content(Kind::Key, path, why));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pki_types::pem::Error::NoItemsFound => content(
            Kind::Key,
            path,
            "it holds no private key without a password; one begins with `-----BEGIN PRIVATE KEY-----`",
        ),
        error => content(Kind::Key, path, malformed(&error)),
    })
}

/// Says what is wrong with PEM, and what to do. The error's own words show bytes as numbers.
fn malformed(error: &pki_types::pem::Error) -> String {
    use pki_types::pem::Error;
    let what = match error {
        Error::MissingSectionEnd { .. } => "it is cut off: an `-----END …-----` line is missing".to_owned(),
        Error::IllegalSectionStart { line } => {
            format!("its line {:?} is no `-----BEGIN …-----`", String::from_utf8_lossy(line))
        }
        Error::Base64Decode(_) => "what stands between its BEGIN and END lines is not base64".to_owned(),
        other => other.to_string(),
    };
    format!("it is no well-formed PEM: {what}; copy the file again from where it was issued")
}

/// The authorities of a file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(Kind::Authorities, path)? {
        // An old authority may have signed its own; any other was signed by one.
        if version_1::is(&certificate) && !version_1::is_self_signed(&certificate) {
            return Err(content(Kind::Authorities, path, version_1::REFUSED));
        }
        if let Some(why) = signs_nothing(&certificate) {
            return Err(content(Kind::Authorities, path, why));
        }
        roots.add(certificate).map_err(|error| {
            content(Kind::Authorities, path, format!("a certificate cannot be used: {error}"))
        })?;
    }
    Ok(roots)
}

/// Why a certificate can be no authority for others; none for one that can be, or that stands alone.
fn signs_nothing(certificate: &CertificateDer<'_>) -> Option<&'static str> {
    let mut itself = RootCertStore::empty();
    itself.add(certificate.clone().into_owned()).ok()?;
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let now = pki_types::UnixTime::now();
    let algorithms = ring::default_provider().signature_verification_algorithms;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &itself, &[], now, algorithms.all) {
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Some(
            "it holds the certificate of a server or client, which is no authority (not CA:TRUE, and signed by another): \
             nothing could be checked with it. Name the file of the authority that signed it",
        ),
        _ => None,
    }
}

/// Checks what clients would: that the certificate is well-formed, counts now, and is one of a server. Who has signed it
/// they know alone.
fn check_now(path: &Path, chain: &[CertificateDer<'static>], now: UnixTime) -> Result<Lifetime, TlsError> {
    let refused = |reason: &str| Err(content(Kind::Certificate, path, reason));
    let Some(first) = chain.first() else { return refused("it holds no certificate") };
    let parsed = ParsedCertificate::try_from(first)
        .map_err(|error| content(Kind::Certificate, path, format!("it cannot be used: {error}")))?;
    match says_of_itself(&parsed, now) {
        Err(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => refused(
            "it has expired; have a new one issued (`openssl x509 -noout -enddate -in FILE` shows the date)",
        ),
        Err(Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => refused("it does not count yet; is the clock of this host right?"),
        Err(Error::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        )) => refused("it is not for servers; have one issued with the extended key usage serverAuth"),
        // The implementation has no name of its own for this.
        Err(Error::InvalidCertificate(CertificateError::Other(other)))
            if other.to_string().contains(AUTHORITY) =>
        {
            refused(
                "it is an authority's (CA:TRUE), which clients do not take for a server's; issue one with it, or make one \
                 that stands alone with `openssl req -x509 -addext basicConstraints=critical,CA:FALSE`",
            )
        }
        _ => Ok(lifetime(&parsed, now)),
    }
}

/// What a client finds before it looks who has signed a certificate. Without an authority the check ends at the one that
/// is missing, after all that the certificate itself says.
fn says_of_itself(certificate: &ParsedCertificate<'_>, at: UnixTime) -> Result<(), Error> {
    let at = pki_types::UnixTime::since_unix_epoch(Duration::from_millis(at.as_millis()));
    let algorithms = ring::default_provider().signature_verification_algorithms;
    let none = RootCertStore::empty();
    verify_server_cert_signed_by_trust_anchor(certificate, &none, &[], at, algorithms.all)
}

/// The time in which a certificate that counts now counts. It is asked, as a client would ask, and not taken apart.
fn lifetime(certificate: &ParsedCertificate<'_>, now: UnixTime) -> Lifetime {
    let counts = |at_ms: u64| {
        !matches!(
            says_of_itself(certificate, UnixTime::from_millis(at_ms)),
            Err(Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            ))
        )
    };
    let last = |at: &dyn Fn(u64) -> u64| {
        let (mut good, mut bad) = (0, SECONDS_MAX);
        while bad - good > 1 {
            let middle = good.midpoint(bad);
            if counts(at(middle)) { good = middle } else { bad = middle }
        }
        at(good)
    };
    let now_ms = now.as_millis();
    let begins = last(&|seconds| now_ms.saturating_sub(seconds * 1000));
    let ends = last(&|seconds| now_ms.saturating_add(seconds * 1000));
    Lifetime { begins: UnixTime::from_millis(begins), ends: UnixTime::from_millis(ends) }
}

/// From when to when a certificate counts, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    begins: UnixTime,
    ends: UnixTime,
}

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// There is time.
    Fresh,
    /// So many seconds are left, in which programs that renew have done so long before.
    Late(u64),
    /// It counts no longer.
    Expired,
}

impl Lifetime {
    pub(super) fn age(self, now: UnixTime) -> Age {
        let left_ms = self.ends.as_millis().saturating_sub(now.as_millis());
        let whole_ms = self.ends.as_millis().saturating_sub(self.begins.as_millis());
        match left_ms {
            0 => Age::Expired,
            left_ms if left_ms < whole_ms / RENEWED_BEFORE => Age::Late(left_ms / 1000),
            _ => Age::Fresh,
        }
    }
}
