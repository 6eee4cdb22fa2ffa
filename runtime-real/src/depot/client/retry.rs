//! When a request is sent again: where the depot has too much to do, or the connection broke before there was an answer. Each
//! waits another while, so that many hosts that were sent away together do not come back together.

use std::time::Duration;

use hyper::StatusCode;

use super::transport::Answer;
use crate::depot::Error;
use crate::host::entropy;

/// So often a request is sent at most.
pub(super) const TRIES: u32 = 5;
/// So long is waited where the depot does not say how long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(2);
/// So long is waited at most, whatever the depot says.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long to wait before the request is sent again; none where its answer is the last word.
pub(super) fn pause(answer: &Result<Answer, Error>, is_read: bool) -> Option<Duration> {
    let said = match answer {
        Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => answer.header("retry-after"),
        // What changes something may have been done before the connection broke.
        Err(Error::Cut { .. }) if is_read => None,
        _ => return None,
    };
    let share = entropy::seed().ok().and_then(|seed| seed.first().copied()).unwrap_or_default();
    Some(spread(of_header(said), share))
}

fn of_header(said: Option<&str>) -> Duration {
    let seconds = said.and_then(|text| text.trim().parse().ok());
    seconds.map_or(PAUSE_DEFAULT, Duration::from_secs).min(PAUSE_MAX)
}

/// From a half to one and a half of a pause.
fn spread(pause: Duration, share: u8) -> Duration {
    pause / 2 + pause * u32::from(share) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_what_the_depot_says_within_limits() {
        for (said, seconds) in [(Some("5"), 5), (Some("9999"), 30), (Some("soon"), 2), (None, 2)] {
            assert_eq!(of_header(said), Duration::from_secs(seconds), "{said:?}");
        }
        let pause = Duration::from_secs(4);
        assert_eq!((spread(pause, 0), spread(pause, 255)), (pause / 2, pause * 3 / 2));
    }
}
