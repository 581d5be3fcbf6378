//! Numbers as people read them. As people write them: [`units`](crate::units).

use std::time::Duration;

/// A number with its thousands apart: `12,345,678`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 death`, `2 deaths`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// With three digits or so: `0.5`, `999`, `12.3k`, `1.2M`.
pub(crate) fn short(number: f64) -> String {
    let (mut number, mut unit) = (number, 0);
    // What would be shown as 1000 of a unit is one of the next.
    while number >= 999.5 && unit < 6 {
        number /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 99.95 || number < 9.95 && number.fract() != 0.0);
    format!("{number:.digits$}{}", ["", "k", "M", "G", "T", "P", "E"][unit])
}

/// Bytes, by the units that `--message-size` takes: `512 bytes`, `64K`, `1.2M`.
pub(crate) fn bytes(count: u64) -> String {
    // What would be shown as 1024 of a unit is one of the next.
    let (mut number, mut unit) = (count as f64, 0);
    while number >= 1023.5 && unit < 6 {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        return counted(count as usize, "byte");
    }
    let digits = usize::from(number < 99.95 && (number * 10.0).round() % 10.0 != 0.0);
    format!("{number:.digits$}{}", ["", "K", "M", "G", "T", "P", "E"][unit])
}

/// Three digits.
pub(crate) fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        99.95.. => 0,
        9.995.. => 1,
        0.995.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// In the unit that fits, with three digits; what is less than a microsecond in whole nanoseconds.
pub(crate) fn time(time: Duration) -> String {
    match time.as_nanos() {
        nanoseconds @ 0..1_000 => format!("{nanoseconds} ns"),
        more => nanoseconds(more as f64),
    }
}

/// Nanoseconds that may be broken ones, in the unit that fits, with three digits.
pub(crate) fn nanoseconds(number: f64) -> String {
    let (number, unit) = match number {
        7_200e9.. => (number / 3_600e9, "h"),
        120e9.. => (number / 60e9, "m"),
        999_500_000.0.. => (number / 1e9, "s"),
        999_500.0.. => (number / 1e6, "ms"),
        999.5.. => (number / 1e3, "us"),
        _ => (number, "ns"),
    };
    format!("{} {unit}", three_digits(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn short_numbers_have_about_three_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.5, "0.5"),
            (7.0, "7"),
            (9.96, "10"),
            (42.4, "42"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
            (999_600.0, "1.0M"),
            (1_234_567.0, "1.2M"),
            (u64::MAX as f64, "18.4E"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (number, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1,023 bytes"),
            (1024, "1K"),
            (65_536, "64K"),
            (65_600, "64.1K"),
            (100_000, "97.7K"),
            (102_400, "100K"),
            (1_047_000, "1022K"),
            (1_048_500, "1M"),
            (25_000_000_000, "23.3G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [(0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (9.999, "10.0")] {
            assert_eq!(three_digits(value), text);
        }
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (value, text) in [
            (0.5, "0.500 ns"),
            (999.6, "1.00 us"),
            (14_000.0, "14.0 us"),
            (2e6, "2.00 ms"),
            (3e9, "3.00 s"),
            (119e9, "119 s"),
            (120e9, "2.00 m"),
            (90.0 * 60e9, "90.0 m"),
            (172_800e9, "48.0 h"),
        ] {
            assert_eq!(nanoseconds(value), text);
        }
        for (value, text) in [(0, "0 ns"), (999, "999 ns"), (1500, "1.50 us"), (2_000_000_000, "2.00 s")] {
            assert_eq!(time(Duration::from_nanos(value)), text);
        }
    }
}
