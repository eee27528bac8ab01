//! Kubernetes quantities: `1` and `1000m` are one amount, `1Gi` and `1024Mi` too.

use serde_json::Value;

/// Whether both are quantities of the same amount. What does not parse, or does not fit, is equal
/// to nothing.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (nanos(one), nanos(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// The amount in billionths, the finest that the API server keeps; more digits are rounded up there.
fn nanos(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let fraction = i32::try_from(fraction.len()).ok()?;
    let amount = match binary(suffix) {
        Some(factor) => scale(digits.checked_mul(factor)?, 9 - fraction)?,
        None => scale(digits, exponent(suffix)?.checked_add(9 - fraction)?)?,
    };
    Some(if negative { -amount } else { amount })
}

/// `digits` times ten to the `power`, rounded up.
fn scale(digits: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        return digits.checked_mul(factor);
    }
    Some(digits / factor + i128::from(digits % factor != 0))
}

fn binary(suffix: &str) -> Option<i128> {
    let power = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|name| *name == suffix)?;
    1024_i128.checked_pow(u32::try_from(power).ok()? + 1)
}

fn exponent(suffix: &str) -> Option<i32> {
    Some(match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        other => other.strip_prefix(['e', 'E'])?.parse().ok().filter(|power: &i32| power.abs() <= 30)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_amount_has_many_forms() {
        for (one, other) in [
            ("1", "1000m"),
            ("1Gi", "1024Mi"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("1E", "1000P"),
            (".5Gi", "512Mi"),
            ("+2", "2"),
            ("-1", "-1000m"),
            ("1.0", "1"),
            ("0.0000000001", "1n"),
        ] {
            assert!(equal(&one.into(), &other.into()), "{one} {other}");
        }
        assert!(equal(&4.into(), &"4".into()) && equal(&0.5.into(), &"500m".into()));
    }

    #[test]
    fn other_amounts_and_other_texts_are_not_equal() {
        for (one, other) in [
            ("1", "1001m"),
            ("1G", "1Gi"),
            ("x", "x1"),
            ("", ""),
            (".", "."),
            ("1.2.3", "1.2.3"),
            ("1e99", "1e99"),
        ] {
            assert!(!equal(&one.into(), &other.into()), "{one} {other}");
        }
    }
}
