//! `--since`: reads how long ago, or a point in time. Takes the present time from its caller and reads no clock.

use annulus_core::UnixTime;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// A point in time that log lines are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// In the form of a line's stamp, so that comparing texts compares times.
    stamp: String,
    unix_ms: i64,
}

impl Since {
    /// Whether a line with this stamp is new enough.
    pub(super) fn includes(&self, stamp: &str) -> bool {
        stamp >= self.stamp.as_str()
    }

    /// Whether a file that was last written to at this time, in seconds of Unix time, may hold such a line.
    pub(super) fn may_be_in(&self, written_s: i64) -> bool {
        written_s.saturating_add(1).saturating_mul(1_000) >= self.unix_ms
    }
}

/// Reads a length of time before `now` (`90s`, `10m`, `2h`, `3d`, `1h30m`), or a point in time (`2026-01-31T12:00:00Z`,
/// `2026-01-31 12:00`, `2026-01-31`, `12:00` of today), in UTC where it does not say otherwise.
///
/// # Errors
/// Says which forms are allowed.
pub(crate) fn since(text: &str, now: UnixTime) -> Result<Since, String> {
    let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let at = ago_ms(text).and_then(|ago| Timestamp::from_millisecond(now_ms.saturating_sub(ago)).ok());
    let at = at.or_else(|| text.parse().ok()).or_else(|| {
        let civil = text.parse::<DateTime>().ok();
        let civil = civil.or_else(|| Some(text.parse::<Date>().ok()?.to_datetime(Time::midnight())));
        let today = || Timestamp::from_millisecond(now_ms).ok().map(|now| now.to_zoned(TimeZone::UTC).date());
        // A bare number would be read as an hour.
        let time = || text.parse::<Time>().ok().filter(|_| text.contains(':'));
        let civil = civil.or_else(|| Some(today()?.to_datetime(time()?)));
        Some(civil?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    let at = at.ok_or_else(|| {
        format!("{text:?} is no time: write how long ago, as in 90s, 10m, 2h or 3d, or when, as in \"2026-01-31 12:00\" (UTC)")
    })?;
    Ok(Since { stamp: format!("{at:.3}"), unix_ms: at.as_millisecond() })
}

/// The milliseconds of a text such as `1h30m`.
fn ago_ms(text: &str) -> Option<i64> {
    let mut total = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(unit_at);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31 12:00:00 UTC.
    const NOW: UnixTime = UnixTime::from_millis(1_769_860_800_000);

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [
            ("10m", "2026-01-31T11:50:00.000Z"),
            ("1h30m", "2026-01-31T10:30:00.000Z"),
            ("250ms", "2026-01-31T11:59:59.750Z"),
            ("2w", "2026-01-17T12:00:00.000Z"),
            ("2026-01-31T11:00:00+01:00", "2026-01-31T10:00:00.000Z"),
            ("2026-01-30T09:15:01.5Z", "2026-01-30T09:15:01.500Z"),
            ("2026-01-30 09:15", "2026-01-30T09:15:00.000Z"),
            ("2026-01-30", "2026-01-30T00:00:00.000Z"),
            ("09:15", "2026-01-31T09:15:00.000Z"),
        ] {
            assert_eq!(since(text, NOW).map(|since| since.stamp), Ok(expected.to_owned()), "{text}");
        }
        for bad in ["", "10", "m", "10x", "yesterday", "-5m", "99999999999999999999d", "2026-13-01"] {
            let error = since(bad, NOW).expect_err(bad);
            assert!(error.contains("10m"), "{error}");
        }
    }
}
