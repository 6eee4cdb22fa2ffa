//! The options that say who gets into the gateways. Only reads and checks them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::options::OptionsError;
use crate::gateway::tls::Files;

/// Options of the gateways.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Who may ask")]
pub struct GatewayOptions {
    /// Names by which clients of the HTTP gateway may call this host, beside localhost, its own name and its addresses; `*`
    /// stands for every name
    #[arg(long, env = "ANNULUS_HTTP_HOST", value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub http_host: Vec<String>,
    /// The HTTP gateway shows everything to every host, as in Habitat. Without it, and without a token
    /// (HAB_SUP_GATEWAY_AUTH_TOKEN), other hosts see names and states only
    #[arg(long, env = "ANNULUS_HTTP_OPEN", value_parser = FalseyValueParser::new())]
    pub http_open: bool,
    /// The certificate of the HTTP and ctl gateways, PEM, with those of the authorities between it and one that clients know:
    /// both gateways speak TLS only. Also --certs, as in Habitat
    #[arg(long, alias = "certs", env = "ANNULUS_CERT_FILE", value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate, PEM, which others cannot read. Also --key, as in Habitat
    #[arg(long, alias = "key", env = "ANNULUS_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The authorities, PEM, by one of which a client's certificate must be signed; with them no client comes in without one,
    /// probes too. Also --ca-certs, as in Habitat
    #[arg(long, alias = "ca-certs", env = "ANNULUS_CA_CERT_FILE", value_name = "FILE")]
    pub ca_cert_file: Option<PathBuf>,
    /// The ctl gateway may listen beyond this host without TLS: commands and the ctl secret can be read and changed on their
    /// way. For networks that are trusted or encrypted by other means
    #[arg(long, env = "ANNULUS_CTL_INSECURE", value_parser = FalseyValueParser::new())]
    pub ctl_insecure: bool,
}

/// Who gets into the gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Names by which clients of the HTTP gateway may call this host.
    pub http_names: Vec<String>,
    /// Whether it shows everything to every host.
    pub http_open: bool,
    /// The files of TLS, where it is spoken.
    pub tls: Option<Files>,
    /// Whether commands may cross the network in the clear.
    pub ctl_insecure: bool,
}

impl GatewaySettings {
    /// Checks that what the ctl gateway hears is not read or changed on its way.
    ///
    /// # Errors
    /// It listens beyond this host, and neither TLS nor the key of the ring seals what is said.
    pub(super) fn check_ctl(&self, ctl: SocketAddr, has_key: bool) -> Result<(), OptionsError> {
        if self.tls.is_some() || has_key || self.ctl_insecure || ctl.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let why = "commands and the ctl secret would go over the network in the clear: give --cert-file and --key-file, \
                   or --ring, listen on 127.0.0.1 (commands of this host use a socket anyway), or say --ctl-insecure";
        Err(OptionsError::Value { option: "--listen-ctl", value: ctl.to_string(), why })
    }
}

impl GatewayOptions {
    /// These options, completed by those of a file, and checked.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub(super) fn settings(&self, file: Self) -> Result<GatewaySettings, OptionsError> {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let tls = files(
            given(&self.cert_file).or(file.cert_file),
            given(&self.key_file).or(file.key_file),
            given(&self.ca_cert_file).or(file.ca_cert_file),
        )?;
        let names = if self.http_host.is_empty() { file.http_host } else { self.http_host.clone() };
        Ok(GatewaySettings {
            http_names: names.into_iter().map(host_name).collect::<Result<_, _>>()?,
            http_open: self.http_open || file.http_open,
            tls,
            ctl_insecure: self.ctl_insecure || file.ctl_insecure,
        })
    }
}

fn files(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    authorities: Option<PathBuf>,
) -> Result<Option<Files>, OptionsError> {
    let alone = |option, path: &PathBuf, why| {
        Err(OptionsError::Value { option, value: path.display().to_string(), why })
    };
    match (cert, key, authorities) {
        (None, None, None) => Ok(None),
        (Some(cert), Some(key), authorities) => Ok(Some(Files { cert, key, authorities })),
        (Some(cert), None, _) => alone("--cert-file", &cert, "TLS needs its key as well: give --key-file"),
        (None, Some(key), _) => {
            alone("--key-file", &key, "TLS needs its certificate as well: give --cert-file")
        }
        (None, None, Some(path)) => alone(
            "--ca-cert-file",
            &path,
            "certificates of clients need TLS: give --cert-file and --key-file",
        ),
    }
}

fn host_name(name: String) -> Result<String, OptionsError> {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if is_name || name == "*" {
        return Ok(name);
    }
    let why =
        "write a host's name without port or scheme, or `*` for every name; addresses need no permission";
    Err(OptionsError::Value { option: "--http-host", value: name, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: &GatewayOptions, ctl: &str) -> Result<GatewaySettings, OptionsError> {
        let settings = options.settings(GatewayOptions::default())?;
        settings.check_ctl(ctl.parse().expect("an address"), false).map(|()| settings)
    }

    fn named(names: &[&str]) -> GatewayOptions {
        let http_host = names.iter().map(|name| (*name).to_owned()).collect();
        GatewayOptions { http_host, ..GatewayOptions::default() }
    }

    #[test]
    fn names_are_those_of_hosts() {
        let both = named(&["a.example.com"]).settings(named(&["b"])).expect("a name");
        assert_eq!(both.http_names, ["a.example.com"], "the command line counts");
        assert_eq!(named(&[]).settings(named(&["*"])).expect("every name").http_names, ["*"]);
        for bad in ["", "a:9631", "http://a", "*.example.com", "a b"] {
            let error = settings(&named(&[bad]), "127.0.0.1:9632").expect_err(bad).to_string();
            assert!(error.contains("--http-host") && error.contains("without port"), "{error}");
        }
    }

    #[test]
    fn commands_do_not_cross_the_network_in_the_clear() {
        let (none, file) = (GatewayOptions::default(), Some(PathBuf::from("f")));
        for near in ["127.0.0.1:9632", "127.0.0.9:1", "[::1]:9632", "[::ffff:127.0.0.1]:9632"] {
            assert!(settings(&none, near).is_ok(), "{near}");
        }
        let insecure = GatewayOptions { ctl_insecure: true, ..none.clone() };
        let tls = GatewayOptions { cert_file: file.clone(), key_file: file.clone(), ..none.clone() };
        for far in ["0.0.0.0:9632", "10.0.0.1:9632", "[::]:9632"] {
            let error = settings(&none, far).expect_err(far).to_string();
            assert!(error.contains("--listen-ctl") && error.contains("--ctl-insecure"), "{error}");
            let keyed = settings(&none, "127.0.0.1:1")
                .expect("near")
                .check_ctl(far.parse().expect("an address"), true);
            assert!(keyed.is_ok(), "the key of the ring seals it");
            assert!(settings(&insecure, far).is_ok() && settings(&tls, far).is_ok(), "{far}");
        }
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let (none, file) = (GatewayOptions::default(), Some(PathBuf::from("f")));
        for (options, missing) in [
            (GatewayOptions { cert_file: file.clone(), ..none.clone() }, "give --key-file"),
            (GatewayOptions { key_file: file.clone(), ..none.clone() }, "give --cert-file"),
            (
                GatewayOptions { ca_cert_file: file.clone(), ..none.clone() },
                "give --cert-file and --key-file",
            ),
        ] {
            let error = settings(&options, "127.0.0.1:9632").expect_err("refused").to_string();
            assert!(error.contains(missing), "{error}");
        }
    }
}
