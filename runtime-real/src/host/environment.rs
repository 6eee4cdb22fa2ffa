//! The variables of the supervisor's environment that programs of services get. All others stay with the supervisor:
//! they hold secrets of the ring and the host, configuration of other services, and what a service manager told the
//! supervisor alone.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::secret_env::{CTL_SECRET_ENV, GATEWAY_TOKEN_ENV};

/// Passed to every program: language and time zone of the host. Those that begin with `LC_` are passed too.
const PASSED: [&str; 3] = ["LANG", "LANGUAGE", "TZ"];
/// The beginning of the names of the parts of a language.
const PASSED_PREFIX: &str = "LC_";
/// Passed to programs that run as the supervisor's own user; those of another user get that user's.
const PASSED_TO_OWN_USER: [&str; 4] = ["HOME", "USER", "LOGNAME", "TMPDIR"];
/// Never passed, also when an operator names them.
const NEVER: [&str; 10] = [
    CTL_SECRET_ENV,
    GATEWAY_TOKEN_ENV,
    "HAB_RING_KEY",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "ANNULUS_LAUNCHER",
];

/// The part of `all`, the supervisor's environment, that a program of a service gets. `named` are the variables that
/// the operator has passed on, beside those of the list.
pub fn passed(
    all: impl IntoIterator<Item = (OsString, OsString)>,
    own_user: bool,
    named: &[String],
) -> BTreeMap<OsString, OsString> {
    let is_passed = |name: &OsStr| {
        let Some(name) = name.to_str() else { return false };
        let listed = PASSED.contains(&name) || name.starts_with(PASSED_PREFIX);
        listed || own_user && PASSED_TO_OWN_USER.contains(&name) || named.iter().any(|named| named == name)
    };
    all.into_iter().filter(|(name, _)| is_passed(name)).collect()
}

/// Checks the name of a variable that an operator passes on.
///
/// # Errors
/// It is no name, or that of a variable which only the supervisor may have.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err("no name of a variable; write letters, digits and '_', and no value");
    }
    if NEVER.contains(&name) {
        return Err("it is the supervisor's own, and no service gets it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(own_user: bool, named: &[&str]) -> Vec<String> {
        let all =
            ["HAB_WEB", "HAB_RING_KEY", "HOME", "LANG", "LC_ALL", "NOTIFY_SOCKET", "PATH", "PROXY", "TZ"];
        let all = all.map(|name| (OsString::from(name), OsString::from("value")));
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        passed(all, own_user, &named).into_keys().map(|name| name.into_string().expect("text")).collect()
    }

    #[test]
    fn only_the_list_and_what_is_named_is_passed() {
        assert_eq!(names(false, &[]), ["LANG", "LC_ALL", "TZ"]);
        assert_eq!(names(true, &[]), ["HOME", "LANG", "LC_ALL", "TZ"]);
        assert_eq!(names(false, &["PROXY", "NONE"]), ["LANG", "LC_ALL", "PROXY", "TZ"]);
    }

    #[test]
    fn secrets_cannot_be_named() {
        for name in ["HTTP_PROXY", "_a1"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", "1A", "A=B", "A B", "HAB_CTL_SECRET", "HAB_SUP_GATEWAY_AUTH_TOKEN", "NOTIFY_SOCKET"]
        {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
