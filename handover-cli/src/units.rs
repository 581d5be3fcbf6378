//! Times, sizes and numbers as people write them.

use std::time::Duration;

use crate::numbers::grouped;

const TIMES: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const SIZES: [(&str, u64); 4] = [("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];

/// The number that a text begins with, and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// `250ms`, `2s`, `5m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a whole number with its unit: 250ms, 2s, 5m (or ns, us, h)".to_owned();
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let (_, nanoseconds) = TIMES.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let total = number.checked_mul(nanoseconds).ok_or_else(|| "that is longer than 584 years".to_owned())?;
    Ok(Duration::from_nanos(total))
}

/// The time between two looks: long enough to see something move.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let shortest = Duration::from_millis(10);
    let time = duration(text)?;
    if time < shortest { Err("at least 10ms, or there is nothing to be seen".into()) } else { Ok(time) }
}

/// `4096`, `64K`, `1M`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || "a size is a whole number of bytes, or of K, M or G: 4096, 64K, 1M".to_owned();
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let (_, bytes) = SIZES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
    let total = number.checked_mul(bytes).and_then(|total| usize::try_from(total).ok());
    total.ok_or_else(|| "that is more than this machine can address".to_owned())
}

const COUNTS: [(&str, u64); 4] = [("", 1), ("k", 1_000), ("m", 1_000_000), ("g", 1_000_000_000)];

/// `0`, `500`, `200k`, `1M`: a number of things, by thousands.
pub(crate) fn number<Number: TryFrom<u64>>(text: &str) -> Result<Number, String> {
    let wrong = || "a number is whole, or of thousands (k) or millions (M): 500, 200k, 1M".to_owned();
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let (_, times) = COUNTS.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
    let total = number.checked_mul(times).and_then(|total| Number::try_from(total).ok());
    total.ok_or_else(|| format!("at most {}", grouped(u64::MAX >> (64 - 8 * size_of::<Number>()))))
}

/// As `number`, of which there is one at least.
pub(crate) fn count<Number: TryFrom<u64> + PartialEq + Default>(text: &str) -> Result<Number, String> {
    number(text).and_then(|many| if many == Number::default() { Err("at least 1".into()) } else { Ok(many) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let milliseconds = Duration::from_millis;
        for (text, time) in [
            ("0s", milliseconds(0)),
            ("250ms", milliseconds(250)),
            ("2s", milliseconds(2000)),
            ("5m", milliseconds(300_000)),
            ("1h", milliseconds(3_600_000)),
            ("7us", Duration::from_micros(7)),
            ("7ns", Duration::from_nanos(7)),
        ] {
            assert_eq!(duration(text), Ok(time), "{text}");
        }
        for text in ["", "2", "s", "-2s", "1.5s", "2 s", "2S", "2x", "99999999999999999999s", "9999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_or_without_a_unit() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("64K", 65_536), ("64k", 65_536), ("1M", 1 << 20), ("2G", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1.5K", "1KB", "1 K", "99999999999999999999", "18446744073709551615G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_read_by_thousands() {
        for (text, many) in [("1", 1), ("500", 500), ("200k", 200_000), ("200K", 200_000), ("3M", 3_000_000)] {
            assert_eq!((number(text), count(text)), (Ok(many), Ok(many)), "{text}");
        }
        assert_eq!((number("0"), count::<u64>("0")), (Ok(0), Err("at least 1".into())));
        for text in ["", "k", "-1", "1.5k", "1 k", "1x", "99999999999999999999", "99999999999g"] {
            assert!(number::<u64>(text).is_err() && count::<u64>(text).is_err(), "{text}");
        }
        assert_eq!((number("65535"), number::<u16>("66k")), (Ok(u16::MAX), Err("at most 65,535".into())));
    }
}
