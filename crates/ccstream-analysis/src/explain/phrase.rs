//! Writes values as words.

use ccstream_core::event::Micros;

use crate::numbers::DAY;

/// Returns a number with separators between thousands. It has decimals if it is below 10 and not whole.
pub(super) fn number(value: f64) -> String {
    if value < 9.95 {
        let text = format!("{value:.1}");
        return text.strip_suffix(".0").map(str::to_owned).unwrap_or(text);
    }
    grouped(value.round())
}

/// Returns a whole number of at least 0 with separators between thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns an amount of at least 0 with its hundredths.
pub(super) fn money(value: f64) -> String {
    let hundredths = (value * 100.0).round();
    format!("{}.{:02}", grouped((hundredths / 100.0).floor()), hundredths % 100.0)
}

/// Returns a multiple, to be followed by what is multiplied. One below 1 is a percentage.
pub(super) fn times(value: f64) -> String {
    match value {
        value if value >= 1e6 => "more than a million times".to_owned(),
        value if value >= 9.95 => format!("{} times", number(value)),
        value if value >= 0.95 => format!("{value:.1} times"),
        value => format!("{} of", percent(value)),
    }
}

/// Returns a share as a percentage.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0%".to_owned(),
        percent if percent < 0.1 => "less than 0.1%".to_owned(),
        percent if percent > 99.9 && share < 1.0 => "more than 99.9%".to_owned(),
        percent => format!("{}%", number(percent)),
    }
}

/// Returns a number of things, whose name is in the singular.
pub(super) fn count(value: f64, what: &str) -> String {
    match number(value).as_str() {
        "0" => format!("no {what}"),
        "1" => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

/// Says of a number of things that there may be more.
pub(super) fn bound(count: String, is_bound: bool) -> String {
    if is_bound { format!("at least {count}") } else { count }
}

/// Returns one of two texts.
pub(super) fn flag(value: f64, set: &str, unset: &str) -> String {
    if value > 0.5 { set } else { unset }.to_owned()
}

/// Returns a duration that is given in days.
pub(super) fn since(days: f64) -> String {
    let (minutes, hours) = (days * 1_440.0, days * 24.0);
    match minutes.round() {
        0.0 => "less than a minute".to_owned(),
        whole if whole < 120.0 => count(whole, "minute"),
        _ if hours < 48.0 => count(hours.round(), "hour"),
        _ => count(days.round(), "day"),
    }
}

/// Returns the date that is a number of days before a time. The date begins there, up to the rounding of the days.
pub(super) fn date(time: Micros, days: f64) -> String {
    let begin = (time.0.clamp(0, Micros::END.0) as f64 / DAY as f64 - days).round();
    Micros(begin as i64 * DAY).to_utc().strftime("%B %-d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let texts = [0.0, 0.04, 1.0, 8.25, 9.94, 9.96, 12.5, 999.4, 1_240.0, 1_234_567.8].map(number);
        assert_eq!(texts, ["0", "0", "1", "8.2", "9.9", "10", "13", "999", "1,240", "1,234,568"]);
        assert_eq!(
            [0.0, 0.05, 12.999, 1_240.5, 99_999_999.0].map(money),
            ["0.00", "0.05", "13.00", "1,240.50", "99,999,999.00"]
        );
    }

    #[test]
    fn multiples_below_one_are_percentages() {
        let texts = [0.0, 0.0004, 0.004, 0.4, 0.949, 0.96, 3.0, 12.4, 1_500.0, 1e9].map(times);
        assert_eq!(
            texts,
            [
                "0% of",
                "less than 0.1% of",
                "0.4% of",
                "40% of",
                "95% of",
                "1.0 times",
                "3.0 times",
                "12 times",
                "1,500 times",
                "more than a million times"
            ]
        );
        assert_eq!([1.0, 0.9995, 0.99].map(percent), ["100%", "more than 99.9%", "99%"]);
    }

    #[test]
    fn counts_have_their_plural() {
        let texts = [0.0, 0.04, 0.5, 1.02, 1.4, 2.0].map(|value| count(value, "refund"));
        assert_eq!(texts, ["no refund", "no refund", "0.5 refunds", "1 refund", "1.4 refunds", "2 refunds"]);
    }

    #[test]
    fn durations_and_dates() {
        let texts = [0.0, 1.0 / 1_440.0, 90.0 / 1_440.0, 0.5, 1.9, 2.1].map(since);
        assert_eq!(texts, ["less than a minute", "1 minute", "90 minutes", "12 hours", "46 hours", "2 days"]);
        // 2026-11-22T10:15:30Z; the rounding of a single must not change the day.
        let time = Micros(1_795_342_530_000_000);
        let days = f64::from((10.0 + 10.258_333 / 24.0_f64) as f32);
        assert_eq!(
            [days, days - 1e-5, days + 1e-5].map(|days| date(time, days)),
            ["November 12"; 3].map(str::to_owned)
        );
    }
}
