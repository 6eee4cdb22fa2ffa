//! UTC time as text: RFC 3339, and the 14 digits `YYYYMMDDHHMMSS` of package
//! releases and key revisions. Reads no clock.

use annulus_core::UnixTime;
use jiff::Timestamp;
use jiff::civil::DateTime;

const FORMAT: &str = "%Y%m%d%H%M%S";

/// The 14 digits of a point in time; a time beyond the year 9999 reads as its last second.
#[must_use]
pub fn digits(time: UnixTime) -> String {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).strftime(FORMAT).to_string()
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`; a time beyond the year 9999 reads as its last second.
#[must_use]
pub fn rfc3339_millis(time: UnixTime) -> String {
    let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
}

/// Whether a text is 14 digits.
#[must_use]
pub fn is_digits(text: &str) -> bool {
    text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text is 14 digits of a time that there is.
#[must_use]
pub fn is_time(text: &str) -> bool {
    is_digits(text) && read(text).is_some()
}

/// The second after this one; none after the last.
#[must_use]
pub fn following(digits: &str) -> Option<String> {
    let next = read(digits)?.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
    Some(next.strftime(FORMAT).to_string())
}

fn read(digits: &str) -> Option<DateTime> {
    DateTime::strptime(FORMAT, digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_utc() {
        assert_eq!(digits(UnixTime::from_millis(0)), "19700101000000");
        assert_eq!(digits(UnixTime::from_millis(1_767_225_599_999)), "20251231235959");
        assert_eq!(rfc3339_millis(UnixTime::from_millis(1_767_225_599_050)), "2025-12-31T23:59:59.050Z");
        assert!(is_digits(&digits(UnixTime::from_millis(u64::MAX))));
        assert!(!is_digits("2026010100000x"));
    }

    #[test]
    fn not_all_digits_are_a_time() {
        for time in ["20261130162613", "20240229235959", "99991231235959"] {
            assert!(is_time(time), "{time}");
        }
        for none in
            ["99999999999999", "20261399000000", "20260229000000", "20261130246000", "00000000000000", "2026"]
        {
            assert!(!is_time(none), "{none}");
        }
        assert_eq!(following("20261231235959").as_deref(), Some("20270101000000"));
        assert_eq!(following("99991231235959"), None);
    }
}
