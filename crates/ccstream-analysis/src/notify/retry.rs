//! Decides what becomes of a notification by the answer of a server, and when one that failed is re-sent.

use std::time::Duration;

/// The first pause. It doubles with each attempt.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest pause that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);

/// What a server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has the notification.
    Taken,
    /// It may take it later.
    Later,
    /// It will not take it as it is.
    Refused,
}

/// Judges the status of an HTTP response. A redirect is not followed, because it would take alerts to a place that nobody
/// has named.
pub fn judge(status: u16) -> Answer {
    match status {
        200..=299 => Answer::Taken,
        408 | 429 | 500..=599 => Answer::Later,
        _ => Answer::Refused,
    }
}

/// Returns the time until the next attempt, after a number of attempts that failed. `asked` is the time that the server
/// wants to be left alone for.
pub fn pause(attempts: u32, asked: Option<Duration>) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST);
    asked.map_or(doubled, |asked| doubled.max(asked.min(LONGEST_ASKED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_follow_the_server() {
        let seconds = |attempts, asked: Option<u64>| pause(attempts, asked.map(Duration::from_secs)).as_secs();
        let pauses: Vec<u64> = (1..=11).map(|attempts| seconds(attempts, None)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(seconds(u32::MAX, None), 300);
        // The server can ask for more, up to an hour, and not for less.
        assert_eq!(seconds(1, Some(20)), 20);
        assert_eq!(seconds(6, Some(20)), 32);
        assert_eq!(seconds(1, Some(86_400)), 3_600);
    }

    #[test]
    fn answers() {
        for status in [200, 201, 202, 204] {
            assert_eq!(judge(status), Answer::Taken, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(judge(status), Answer::Later, "{status}");
        }
        for status in [301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422] {
            assert_eq!(judge(status), Answer::Refused, "{status}");
        }
    }
}
