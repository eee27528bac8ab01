//! Kubernetes quantities as whole numbers, rounded up.

const SUFFIXES: [(&str, u128); 12] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

/// Nobody writes more decimals; bounds the arithmetic.
const DECIMALS_MAX: usize = 9;

/// The quantity in thousandths: `500m` is 500, `2` is 2000. None: not a quantity, or too large.
pub fn thousandths(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_suffix('m') {
        return scaled(digits, 1);
    }
    if let Some((mantissa, exponent)) = text.split_once(['e', 'E']).filter(|(_, power)| !power.is_empty()) {
        let power = 10u128.checked_pow(exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?)?;
        return scaled(mantissa, power.checked_mul(1000)?);
    }
    let (digits, factor) = SUFFIXES
        .into_iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))
        .unwrap_or((text, 1));
    scaled(digits, factor * 1000)
}

/// The quantity as a whole number: `64Gi` is 68719476736.
pub fn whole(text: &str) -> Option<u64> {
    thousandths(text).map(|thousandths| thousandths.div_ceil(1000))
}

fn scaled(digits: &str, factor: u128) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > DECIMALS_MAX || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let number: u128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u64::try_from(number.checked_mul(factor)?.div_ceil(divisor)).ok()
}
