//! The options that say who gets into the gateways. Only reads and checks them.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::options::OptionsError;

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
}

/// Who gets into the gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Names by which clients of the HTTP gateway may call this host.
    pub http_names: Vec<String>,
    /// Whether it shows everything to every host.
    pub http_open: bool,
}

impl GatewayOptions {
    /// These options, completed by those of a file, and checked.
    ///
    /// # Errors
    /// See [`OptionsError`].
    pub(super) fn settings(&self, file: Self) -> Result<GatewaySettings, OptionsError> {
        let names = if self.http_host.is_empty() { file.http_host } else { self.http_host.clone() };
        Ok(GatewaySettings {
            http_names: names.into_iter().map(host_name).collect::<Result<_, _>>()?,
            http_open: self.http_open || file.http_open,
        })
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

    #[test]
    fn names_are_those_of_hosts() {
        let named = |names: &[&str]| GatewayOptions {
            http_host: names.iter().map(|name| (*name).to_owned()).collect(),
            ..GatewayOptions::default()
        };
        let both = named(&["a.example.com"]).settings(named(&["b"])).expect("a name");
        assert_eq!(both.http_names, ["a.example.com"], "the command line counts");
        assert_eq!(named(&[]).settings(named(&["*"])).expect("every name").http_names, ["*"]);
        for bad in ["", "a:9631", "http://a", "*.example.com", "a b"] {
            let error = named(&[bad]).settings(named(&[])).expect_err(bad).to_string();
            assert!(error.contains("--http-host") && error.contains("without port"), "{error}");
        }
    }
}
