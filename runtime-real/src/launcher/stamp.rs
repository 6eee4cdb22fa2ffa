//! Time stamps like `2026-01-31T12:00:00.123Z`, made without a calendar's tables. Reads no clock.

use annulus_core::UnixTime;

/// Length of a stamp of the years 0 to 9999.
pub(super) const STAMP_BYTES: usize = 24;

const DAY_MS: u64 = 86_400_000;
/// Days from the first of March of the year 0 to the first day of Unix time.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// The last moment of the year 9999, in milliseconds of Unix time.
const LAST_MS: u64 = 253_402_300_799_999;

/// The stamp of a point in time; one beyond the year 9999 reads as its last moment.
///
/// Years are counted from March, so that the day that some years have more than others is their last.
pub(super) fn stamp(time: UnixTime) -> String {
    let ms = time.as_millis().min(LAST_MS);
    let (days, in_day) = (ms / DAY_MS + EPOCH_DAYS, ms % DAY_MS);
    let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1_000 % 60, in_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_of_time() {
        assert_eq!(stamp(UnixTime::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(UnixTime::from_millis(u64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(stamp(UnixTime::from_millis(0)).len(), STAMP_BYTES);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_calendar(ms in 0..=LAST_MS) {
            let calendar = jiff::Timestamp::from_millisecond(ms.cast_signed()).expect("in range");
            prop_assert_eq!(stamp(UnixTime::from_millis(ms)), format!("{calendar:.3}"));
        }
    }
}
