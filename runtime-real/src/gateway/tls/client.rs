//! The client's end: whom it trusts, and how it shows who it is. Reads its files when it connects.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, CertificateError, ClientConfig, Error};

use super::files::{self, Kind, TlsError};
use super::wire::Wire;

/// The files of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities that may have signed the server's certificate.
    pub authorities: PathBuf,
    /// A certificate and its key, where the server asks for one.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// What the server is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The host that was connected to, with its port.
    pub addr: String,
    /// The name that its certificate has, where that is another one.
    pub name: Option<String>,
}

impl Names {
    pub(super) fn server(&self) -> &str {
        let host = || match self.addr.rsplit_once(':') {
            Some((host, _)) => host.trim_start_matches('[').trim_end_matches(']'),
            None => &self.addr,
        };
        self.name.as_deref().unwrap_or_else(host)
    }
}

impl ClientFiles {
    fn load(&self) -> Result<ClientConfig, TlsError> {
        let refused =
            |error: Error| TlsError::Refused { path: self.authorities.clone(), reason: error.to_string() };
        let builder = ClientConfig::builder_with_provider(files::provider());
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let builder = builder.with_root_certificates(files::authorities(&self.authorities)?);
        let Some((cert, key)) = &self.own else { return Ok(builder.with_no_client_auth()) };
        let (chain, private) = (files::certificates(Kind::Certificate, cert)?, files::private_key(key)?);
        builder.with_client_auth_cert(chain, private).map_err(|error| match error {
            Error::InconsistentKeys(_) => TlsError::Mismatch { cert: cert.clone(), key: key.clone() },
            other => TlsError::Refused { path: cert.clone(), reason: other.to_string() },
        })
    }

    /// Does the handshake with a server.
    ///
    /// # Errors
    /// The files cannot be used, or the server is not the one that was meant; see [`explain`].
    pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        names: &Names,
    ) -> io::Result<Wire<S>> {
        let config = self.load().map_err(io::Error::other)?;
        let name = ServerName::try_from(names.server().to_owned());
        let name =
            name.map_err(|_| io::Error::other(format!("{:?} is no name of a server", names.server())))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Ok(Wire::Tls(Box::new(stream.into())))
    }
}

/// Why TLS with a server failed, and what to do; none for an error of another kind.
#[must_use]
pub fn explain(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    if let Some(error) = inner.downcast_ref::<TlsError>() {
        return Some(error.to_string());
    }
    let hint = match inner.downcast_ref::<Error>()? {
        // An authority of the same name with another key has not signed it either.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "; name the authority that signed its certificate with --ctl-server-ca-certificate"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "; name the host that its certificate is for with --ctl-server-name",
        Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure) => {
            "; it asks for a certificate: show one with --ctl-client-certificate and --ctl-client-key"
        }
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::DecryptError,
        ) => "; it does not accept the certificate of --ctl-client-certificate",
        Error::InvalidMessage(_) => {
            "; its ctl gateway does not speak TLS, so leave --ctl-server-ca-certificate out"
        }
        _ => "",
    };
    Some(format!("{inner}{hint}"))
}
