//! Values as a scenario file has them: each text is read back as the same value.

use std::time::Duration;

use annulus_core::{Instant, ServiceGroup};

use super::reading::DEFAULT_GROUP;
use crate::engine::host::HostId;
use crate::engine::link::{LinkQuality, Ratio};

/// Names that are listed one by one in a line.
const NAMES_PER_LINE: usize = 12;

/// The names of a scenario's hosts, by which they are written.
#[derive(Clone, Debug)]
pub(crate) struct Names<'a>(pub(crate) Vec<&'a str>);

impl Names<'_> {
    /// A host's name.
    pub(crate) fn one(&self, host: HostId) -> &str {
        self.0.get(host.0 as usize).copied().unwrap_or("?")
    }

    /// A line with a key and the name of a host.
    pub(crate) fn line(&self, key: &str, host: HostId) -> String {
        format!("\n{key} = {:?}", self.one(host))
    }

    /// Runs of neighbours as `first..last`; all hosts as `all`.
    pub(crate) fn list(&self, hosts: &[HostId]) -> String {
        let is_all = || hosts.iter().zip(0..).all(|(host, n)| host.0 == n);
        if hosts.is_empty() || (hosts.len() == self.0.len() && is_all()) {
            return String::from("\"all\"");
        }
        let name = |host: u32| self.one(HostId(host));
        let mut names: Vec<String> = Vec::new();
        let mut rest = hosts;
        while let [first, ..] = rest {
            let run = rest.iter().zip(first.0..).take_while(|(host, n)| host.0 == *n).count();
            let last = first.0 + u32::try_from(run).unwrap_or(1) - 1;
            if run > 2 {
                names.push(format!("\"{}..{}\"", name(first.0), name(last)));
            } else {
                names.extend((first.0..=last).map(|host| format!("{:?}", name(host))));
            }
            rest = rest.get(run..).unwrap_or_default();
        }
        match names.as_slice() {
            [one] => one.clone(),
            names => {
                let lines: Vec<String> = names.chunks(NAMES_PER_LINE).map(|line| line.join(", ")).collect();
                format!("[{}]", lines.join(",\n  "))
            }
        }
    }

    /// The head of an entry about links of one direction.
    pub(crate) fn towards(&self, key: &str, from: &[HostId], to: &[HostId]) -> String {
        format!("\n{key} = {}\nto = {}\ndirection = \"out\"", self.list(from), self.list(to))
    }
}

/// A group by its service alone where it is the default one.
pub(crate) fn group(group: &ServiceGroup) -> &str {
    let is_default = group.group() == DEFAULT_GROUP && group.org().is_none();
    if is_default { group.service() } else { group.as_str() }
}

/// The quality of links.
pub(crate) fn quality(quality: &LinkQuality) -> String {
    let latency = span(quality.latency_min, quality.latency_max);
    let (loss, duplicate) = (share(quality.loss), share(quality.duplicate));
    let reorder = share(quality.reorder);
    format!("\nlatency = {latency}\nloss = {loss}\nduplicate = {duplicate}\nreorder = {reorder}")
}

/// A ratio as a percentage, with four decimals at most.
pub(crate) fn share(ratio: Ratio) -> String {
    let millionths = u64::from(ratio.numerator) * 1_000_000 / u64::from(ratio.denominator.max(1));
    let (whole, rest) = (millionths / 10_000, millionths % 10_000);
    if rest == 0 { format!("\"{whole}%\"") } else { format!("\"{whole}.{rest:04}%\"") }
}

/// The shortest and the longest.
pub(crate) fn span(min: Duration, max: Duration) -> String {
    format!("{}..{}", time(min).trim_end_matches('"'), time(max).trim_start_matches('"'))
}

/// An instant of a run.
pub(crate) fn instant(instant: Instant) -> String {
    time(Duration::from_nanos(instant.as_nanos()))
}

/// A time.
pub(crate) fn time(time: Duration) -> String {
    let (ms, rest) = (time.as_millis(), time.subsec_nanos() % 1_000_000);
    match rest {
        0 if ms >= 1_000 && ms % 1_000 == 0 => format!("\"{}s\"", ms / 1_000),
        0 => format!("\"{ms}ms\""),
        rest => format!("\"{ms}.{rest:06}ms\""),
    }
}
