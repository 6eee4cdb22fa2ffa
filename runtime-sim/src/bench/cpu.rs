//! The cost of the simulator on this machine: processor time and memory. Only the benchmark reads it; nothing in a
//! world may depend on it.

use std::fs;

/// Nanoseconds that this process has spent on a processor, in all threads that still run.
///
/// Time on the processor rather than time on the wall: other programs on the machine then matter little.
/// None where the kernel does not say.
pub(crate) fn on_cpu_ns() -> Option<u64> {
    // The kernel brings its count up to date when it schedules, which may be milliseconds ago.
    std::thread::yield_now();
    fs::read_to_string("/proc/self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// Bytes of memory that this process occupies. None where the kernel does not say.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The machine's load over the last 1, 5 and 15 minutes. None where the kernel does not say.
pub(crate) fn load_average() -> Option<String> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    Some(load.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}
