//! Decimal numbers as text, normalised without ever passing through a float: 1, 1.0 and 1e0 are one number,
//! and 123456789012345678901234567890.10 keeps all of its digits.

use std::fmt;

/// A decimal number: the digits without outer zeros, times a power of ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// The number that a JSON number (or a numeric string) spells; none if it spells none.
pub fn normalise(text: &str) -> Option<Normalised> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let from_right = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - from_right.len()).ok()?;
    let digits = from_right.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return Some(Normalised { negative: false, digits: "0".to_owned(), exponent: 0 });
    }
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    Some(Normalised { negative, digits, exponent })
}

impl Normalised {
    /// The number as a count: whole, and not below zero.
    pub fn as_count(&self) -> Option<u32> {
        let zeros = u32::try_from(self.exponent).ok().filter(|_| !self.negative)?;
        self.digits.parse::<u32>().ok()?.checked_mul(10_u32.checked_pow(zeros)?)
    }
}

impl fmt::Display for Normalised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        match self.exponent {
            0 => write!(f, "{sign}{}", self.digits),
            exponent => write!(f, "{sign}{}e{exponent}", self.digits),
        }
    }
}
