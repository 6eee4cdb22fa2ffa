//! Names of the kernel's capabilities, sets of them, and the sets that this process has. Changes none: `launcher`
//! does, in the processes of services.

use std::fmt;
use std::str::FromStr;

/// The kernel's names, in the order of their numbers.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// What a process needs to start, signal and equip processes of other users.
    pub const TO_SWITCH: Self = Self(1 | 1 << 5 | 1 << 6 | 1 << 7);

    /// The set of these bits, each the number of a capability.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// One bit for each capability, at its number.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that `other` does not have.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set that this process may use; none where the system does not say.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(hex.trim(), 16).ok().map(Self)
    }

    /// The names, in the order of the kernel's numbers.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .into_iter()
            .enumerate()
            .filter(move |(number, _)| self.0 >> number & 1 == 1)
            .map(|(_, name)| name)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(" "))
    }
}

/// One capability, by the kernel's name in small letters and without `CAP_`.
impl FromStr for Capabilities {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().position(|known| *known == name);
        found.map(|number| Self(1 << number)).ok_or_else(|| {
            format!(
                "{name:?} is no capability; the names are those of capabilities(7) as in \"net_bind_service\""
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_kernels() {
        for (name, number) in
            [("chown", 0), ("kill", 5), ("net_bind_service", 10), ("sys_admin", 21), ("bpf", 39)]
        {
            assert_eq!(name.parse::<Capabilities>(), Ok(Capabilities::from_bits(1 << number)), "{name}");
        }
        for wrong in ["", "CAP_CHOWN", "cap_chown", "net bind service", "root"] {
            assert!(wrong.parse::<Capabilities>().is_err(), "{wrong:?}");
        }
        assert_eq!(Capabilities::TO_SWITCH.to_string(), "chown kill setgid setuid");
        let two = Capabilities::from_bits(1 << 10 | 1);
        assert_eq!(two.without(Capabilities::TO_SWITCH).to_string(), "net_bind_service");
        assert!(Capabilities::NONE.is_empty() && two.with(Capabilities::NONE) == two);
    }

    #[test]
    fn this_process_says_what_it_has() {
        let root = nix::unistd::geteuid().is_root();
        let own = Capabilities::of_this_process().expect("the system says it");
        assert!(root || own.without(Capabilities::TO_SWITCH) == own, "{own}");
    }
}
