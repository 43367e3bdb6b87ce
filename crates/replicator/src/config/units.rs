//! Texts to values: times, sizes, numbers and words, each with an error that says what to write instead.
//!
//! Every value arrives as text, also from TOML, so that a file, a variable and a flag obey the same rules.

use std::time::Duration;

/// A time like `5m`: a whole number and one of `ms s m h d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let remedy = || "write a whole number and a unit of ms, s, m, h or d, like \"5m\"".to_owned();
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| remedy())?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(remedy()),
    };
    // Longer than a century is a slip of the hand, and would overflow a date.
    let total = number.checked_mul(seconds).filter(|&total| total <= 100 * 366 * 86_400);
    total
        .map(Duration::from_secs)
        .ok_or_else(|| "that is more than a century; write a shorter time".to_owned())
}

/// A time that is longer than nothing.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than zero".to_owned()),
        some => Ok(some),
    }
}

/// A size like `8MB`, in bytes: a whole number and one of `B KB MB GB`, counted in 1,000s, or `KiB MiB GiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let remedy = || "write a whole number and a unit of B, KB, MB or GB, like \"8MB\"".to_owned();
    let (number, unit) = split(text);
    let number: usize = number.parse().map_err(|_| remedy())?;
    let bytes = match unit.to_ascii_uppercase().as_str() {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KIB" => 1 << 10,
        "MIB" => 1 << 20,
        "GIB" => 1 << 30,
        _ => return Err(remedy()),
    };
    match number.checked_mul(bytes) {
        Some(size) if size > 0 => Ok(size),
        _ => Err("it must be larger than zero and fit into memory".to_owned()),
    }
}

/// A whole number within bounds.
pub(crate) fn number(least: u64, most: u64) -> impl Fn(&str) -> Result<u64, String> {
    move |text| match text.replace('_', "").parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("write a whole number from {least} to {most}")),
    }
}

/// A whole number within bounds that fit 32 bits.
pub(crate) fn small_number(least: u32, most: u32) -> impl Fn(&str) -> Result<u32, String> {
    move |text| match text.replace('_', "").parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("write a whole number from {least} to {most}")),
    }
}

/// A share of a whole: more than 0, at most 1.
pub(crate) fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio > 0.0 && ratio <= 1.0 => Ok(ratio),
        _ => Err("write a share above 0 and up to 1, like 0.05 for 5 %".to_owned()),
    }
}

/// `true` or `false`.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "write true or false".to_owned())
}

/// Any text.
#[expect(clippy::unnecessary_wraps, reason = "it stands where other parsers stand")]
pub(crate) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// One of a few words.
pub(crate) fn word<T: Copy + Send + Sync>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text| {
        let known = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        known.ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("write {}", words.join(" or "))
        })
    }
}

/// A time as people read it, in its two largest units: `3 h 12 min`.
pub(crate) fn spoken(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    let total = seconds.abs().round().min(1e15) as u64;
    let (days, hours, minutes) = (total / 86_400, total / 3_600 % 24, total / 60 % 60);
    match (days, hours, minutes, total % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) if m < 5 && s > 0 => format!("{m} min {s} s"),
        (0, 0, m, _) => format!("{m} min"),
        (0, h, 0, _) => format!("{h} h"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, 0, _, _) => format!("{d} d"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    (number.trim(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_number_and_a_unit() {
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration(" 250 ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2d"), Ok(Duration::from_hours(48)));
        for bad in ["", "5", "m", "-5m", "1.5h", "5 minutes", "99999999999999d"] {
            assert!(duration(bad).is_err(), "{bad:?} was taken");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn sizes_need_a_number_and_a_unit() {
        assert_eq!(size("8MB"), Ok(8_000_000));
        assert_eq!(size("4 KiB"), Ok(4_096));
        for bad in ["8", "0MB", "MB", "8 megabytes"] {
            assert!(size(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_wrong_word_is_answered_with_the_right_ones() {
        let parse = word(&[("next_link", 1), ("key", 2)]);
        assert_eq!(parse("key"), Ok(2));
        assert_eq!(parse("skip"), Err("write \"next_link\" or \"key\"".to_owned()));
    }

    #[test]
    fn ages_are_spoken_in_their_two_largest_units() {
        let said: Vec<_> = [8.0, 61.0, 600.0, 3_600.0, 11_520.0, 200_000.0].into_iter().map(spoken).collect();
        assert_eq!(said, ["8 s", "1 min 1 s", "10 min", "1 h", "3 h 12 min", "2 d 7 h"]);
    }
}
