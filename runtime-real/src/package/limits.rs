//! Reads the limits of a service: in `plan.toml` and, in the same words, in the metafile `LIMITS`. Sets none: the
//! launcher does.

use serde::{Deserialize, Serialize};

/// More processors than any host has.
const CPUS_MAX: f64 = 65_536.0;
/// A process with fewer files cannot even load its libraries.
const NOFILE_MIN: u64 = 16;
/// The kernel's own limit, unless an administrator raised it.
const NOFILE_MAX: u64 = 1 << 20;

/// Limits of a service; an absent one limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsPlan {
    /// Highest number of open files of each process.
    pub nofile: Option<u64>,
    /// Memory of all its processes together, in bytes.
    pub memory_bytes: Option<u64>,
    /// Time of processors of all its processes together, in thousandths of one processor.
    pub cpu_millis: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// `[service.limits]` of a plan.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Count>,
}

/// The metafile.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    nofile: Option<Nofile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Count>,
}

/// Bytes, written with `K`, `M` or `G`.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
struct Memory(u64);

impl TryFrom<String> for Memory {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of memory, such as \"512M\" or \"2G\"");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or_else(wrong)
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        format!("{}K", memory.0 >> 10)
    }
}

/// Processors, as in 1.5.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "f64", into = "f64")]
struct Cpu(u64);

impl TryFrom<f64> for Cpu {
    type Error = String;
    fn try_from(cpus: f64) -> Result<Self, String> {
        if !(0.01..=CPUS_MAX).contains(&cpus) {
            return Err(format!("{cpus} is no number of processors between 0.01 and {CPUS_MAX}"));
        }
        // The range was checked, and a thousandth is finer than the kernel counts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let millis = (cpus * 1_000.0).round() as u64;
        Ok(Self(millis))
    }
}

impl From<Cpu> for f64 {
    fn from(cpu: Cpu) -> Self {
        // The number is below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let millis = cpu.0 as Self;
        millis / 1_000.0
    }
}

/// A number above 0.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "i64", into = "u64")]
struct Count(u64);

impl TryFrom<i64> for Count {
    type Error = String;
    fn try_from(count: i64) -> Result<Self, String> {
        u64::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .map(Self)
            .ok_or_else(|| format!("{count} is not above 0"))
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

/// A number of open files.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "i64", into = "u64")]
pub(super) struct Nofile(u64);

impl TryFrom<i64> for Nofile {
    type Error = String;
    fn try_from(count: i64) -> Result<Self, String> {
        let valid = u64::try_from(count).ok().filter(|count| (NOFILE_MIN..=NOFILE_MAX).contains(count));
        valid.map(Self).ok_or_else(|| {
            format!("{count} is no number of open files between {NOFILE_MIN} and {NOFILE_MAX}")
        })
    }
}

impl From<Nofile> for u64 {
    fn from(count: Nofile) -> Self {
        count.0
    }
}

impl LimitsPlan {
    pub(super) fn new(nofile: Option<Nofile>, table: &LimitsTable) -> Self {
        Self {
            nofile: nofile.map(|count| count.0),
            memory_bytes: table.memory.map(|memory| memory.0),
            cpu_millis: table.cpu.map(|cpu| cpu.0),
            pids: table.pids.map(|count| count.0),
        }
    }

    /// Reads the metafile `LIMITS`.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn from_metafile(text: &str) -> Result<Self, String> {
        let LimitsFile { nofile, memory, cpu, pids } =
            toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self::new(nofile, &LimitsTable { memory, cpu, pids }))
    }

    /// The text of the metafile `LIMITS`; empty when nothing is limited.
    #[must_use]
    pub fn to_metafile(&self) -> String {
        let file = LimitsFile {
            nofile: self.nofile.map(Nofile),
            memory: self.memory_bytes.map(Memory),
            cpu: self.cpu_millis.map(Cpu),
            pids: self.pids.map(Count),
        };
        toml::to_string(&file).expect("four numbers and texts are TOML")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<LimitsPlan, String> {
        let table: LimitsTable = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(LimitsPlan::new(Some(Nofile(4_096)), &table))
    }

    #[test]
    fn a_plans_limits_are_its_metafiles() {
        let limits = plan("memory = \"512M\"\ncpu = 1.5\npids = 100").expect("limits");
        let wanted = LimitsPlan {
            nofile: Some(4_096),
            memory_bytes: Some(512 << 20),
            cpu_millis: Some(1_500),
            pids: Some(100),
        };
        assert_eq!(limits, wanted);
        assert_eq!(LimitsPlan::from_metafile(&limits.to_metafile()), Ok(wanted));
        assert_eq!(LimitsPlan::default().to_metafile(), "");
        assert_eq!(LimitsPlan::from_metafile(""), Ok(LimitsPlan::default()));
        assert_eq!(plan("cpu = 2").expect("a whole number").cpu_millis, Some(2_000));
    }

    #[test]
    fn what_limits_nothing_sensible_is_refused() {
        for bad in
            ["memory = \"much\"", "memory = \"0M\"", "memory = \"512\"", "cpu = 0", "cpu = -1", "cpu = nan"]
        {
            assert!(plan(bad).is_err(), "{bad}");
        }
        for bad in ["pids = 0", "pids = -1", "swap = \"1G\"", "memory = \"99999999999999999999M\""] {
            assert!(plan(bad).is_err(), "{bad}");
        }
        assert!(LimitsPlan::from_metafile("nofile = 1").is_err());
    }
}
