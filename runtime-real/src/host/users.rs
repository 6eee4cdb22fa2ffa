//! Finds the user that a service runs as. Adds no user to the host.
//!
//! A supervisor that may change users (CAP_SETUID, CAP_SETGID, CAP_CHOWN, and CAP_KILL to stop what it started) runs a
//! service as the user and group that its package names; a supervisor that may not runs every service as its own user.

use std::ffi::{CString, OsString};
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User};
use thiserror::Error;

use super::capabilities::Capabilities;

/// The user that services run as when their package names none.
pub const USER_DEFAULT: &str = "hab";
/// The superuser, as a plan may name it.
const ROOT: &str = "root";

/// A user, with everything that a process of theirs needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub user: String,
    /// Their number.
    pub uid: u32,
    /// The number of the group that the service runs as.
    pub gid: u32,
    /// The numbers of all groups that the user is in, `gid` among them.
    pub groups: Vec<u32>,
    /// Their home directory.
    pub home: PathBuf,
}

/// The user that a service runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// The supervisor's own user, for a reason that the operator is told once.
    Supervisor {
        /// Why.
        why: String,
    },
    /// Another user.
    Account(Account),
}

impl Account {
    /// The variables that tell a process its user.
    pub fn env(&self) -> impl Iterator<Item = (OsString, OsString)> {
        let user = OsString::from(&self.user);
        let home = self.home.clone().into_os_string();
        [("HOME", home), ("USER", user.clone()), ("LOGNAME", user)]
            .into_iter()
            .map(|(name, value)| (OsString::from(name), value))
    }
}

impl RunAs {
    /// The account, unless it is the supervisor's own.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Supervisor { .. } => None,
            Self::Account(account) => Some(account),
        }
    }
}

/// Why a service cannot run as the user that its package names.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UserError {
    /// This host has no such user.
    #[error("user {0} does not exist on this host; create it, or name another in [service] of the plan")]
    NoUser(String),
    /// This host has no such group.
    #[error("group {0} does not exist on this host; create it, or name another in [service] of the plan")]
    NoGroup(String),
    /// This host has no such user, or no group of that name, as which services run whose plan names none.
    #[error(
        "this host has no user {USER_DEFAULT} with a group {USER_DEFAULT}, as which services run whose plan names no user; make them with \
         `groupadd --system {USER_DEFAULT}` and `useradd --system --gid {USER_DEFAULT} --shell /usr/sbin/nologin {USER_DEFAULT}`, or have such services \
         run as {own} with the option --allow-root"
    )]
    NoDefault {
        /// The supervisor's own user.
        own: String,
    },
    /// The supervisor is the superuser, and may not start processes of others.
    #[error(
        "a service of user {user} would run as root, because this supervisor is root and lacks what it takes to start \
         processes of other users: {lacks}; give it these capabilities, or allow that with the option --allow-root"
    )]
    OnlyRoot {
        /// The user that the package names.
        user: String,
        /// The capabilities that are missing.
        lacks: Capabilities,
    },
    /// The user database does not answer.
    #[error("user {name} cannot be looked up: {reason}")]
    Lookup {
        /// The user or group.
        name: String,
        /// The error of the operating system.
        reason: String,
    },
}

/// Finds the user that a service runs as, if its package names this user and group. `allow_root` has it run as the
/// supervisor's own user where that is root, or where the default user is missing.
///
/// # Errors
/// The supervisor may change users, and the user or group does not exist; or it is root and may not.
pub fn run_as(user: Option<&str>, group: Option<&str>, allow_root: bool) -> Result<RunAs, UserError> {
    let name = user.unwrap_or(USER_DEFAULT);
    let lacks = lacks_to_switch();
    if !lacks.is_empty() {
        // A plan that names root means it.
        if Uid::effective().is_root() && !allow_root && name != ROOT {
            return Err(UserError::OnlyRoot { user: name.to_owned(), lacks });
        }
        let why = format!("it lacks what it takes to start and stop processes of other users: {lacks}");
        return Ok(RunAs::Supervisor { why });
    }
    match account(name, group) {
        Err(UserError::NoUser(missing) | UserError::NoGroup(missing))
            if name == USER_DEFAULT && missing == USER_DEFAULT =>
        {
            if !allow_root {
                return Err(UserError::NoDefault { own: own_name() });
            }
            Ok(RunAs::Supervisor { why: format!("this host has no user and group {USER_DEFAULT}") })
        }
        found => found.map(RunAs::Account),
    }
}

fn account(name: &str, group: Option<&str>) -> Result<Account, UserError> {
    let failed = |name: &str| {
        let name = name.to_owned();
        move |e: nix::errno::Errno| UserError::Lookup { name, reason: e.to_string() }
    };
    let user =
        User::from_name(name).map_err(failed(name))?.ok_or_else(|| UserError::NoUser(name.to_owned()))?;
    let gid = match group {
        Some(group) => match Group::from_name(group).map_err(failed(group))? {
            Some(found) => found.gid,
            // Of a plan that names its user only.
            None if group == USER_DEFAULT && name != USER_DEFAULT => user.gid,
            None => return Err(UserError::NoGroup(group.to_owned())),
        },
        None => user.gid,
    };
    let name_c = CString::new(name).map_err(|_| UserError::NoUser(name.to_owned()))?;
    let groups = nix::unistd::getgrouplist(&name_c, gid).map_err(failed(name))?;
    Ok(Account {
        user: name.to_owned(),
        uid: user.uid.as_raw(),
        gid: gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
        home: user.dir,
    })
}

/// The name of this process's own user; the number where it has none.
#[must_use]
pub fn own_name() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// What this process lacks of the right to start and signal processes of other users, and to give files away.
#[must_use]
pub fn lacks_to_switch() -> Capabilities {
    // Without capabilities there is only the superuser.
    let nothing = || if Uid::effective().is_root() { Capabilities::TO_SWITCH } else { Capabilities::NONE };
    Capabilities::TO_SWITCH.without(Capabilities::of_this_process().unwrap_or_else(nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_with_all_groups() {
        let me = User::from_uid(Uid::effective()).expect("the user database").expect("this user");
        let found = account(&me.name, None).expect("found");
        assert_eq!((found.uid, found.gid), (me.uid.as_raw(), me.gid.as_raw()));
        assert!(found.groups.contains(&found.gid), "{found:?}");
        assert_eq!(found.home, me.dir);
    }

    #[test]
    fn who_does_not_exist_is_named() {
        let missing = |user, group| account(user, group).expect_err("no such account").to_string();
        assert!(missing("no-such-user", None).contains("user no-such-user does not exist"));
        let me = User::from_uid(Uid::effective()).expect("the user database").expect("this user");
        assert!(missing(&me.name, Some("no-such-group")).contains("group no-such-group"));
    }
}
