//! Money in whole billionths of a US dollar, and splits that lose nothing.

use rust_decimal::Decimal;

/// Billionths of a US dollar.
pub type NanoUsd = i64;

/// Why a price was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not a decimal number.
    #[error("`{0}` is no decimal number; write for example 0.0416")]
    NotDecimal(String),
    /// Below zero, or too large.
    #[error("`{0}` is out of range; write 0 to 999999999 dollars")]
    OutOfRange(String),
    /// More than nine decimals.
    #[error("`{0}` has more than nine decimals; a billionth of a dollar is the smallest unit")]
    TooFine(String),
}

/// Reads a decimal number of US dollars as whole nano-dollars.
///
/// # Errors
/// [`PriceError`]; nothing is rounded in silence.
pub fn nano_usd(text: &str) -> Result<NanoUsd, PriceError> {
    let decimal: Decimal = text.parse().map_err(|_| PriceError::NotDecimal(text.to_owned()))?;
    if decimal.is_sign_negative() && !decimal.is_zero() {
        return Err(PriceError::OutOfRange(text.to_owned()));
    }
    let billion = Decimal::from(1_000_000_000_i64);
    let scaled = decimal.checked_mul(billion).ok_or_else(|| PriceError::OutOfRange(text.to_owned()))?;
    if !scaled.fract().is_zero() {
        return Err(PriceError::TooFine(text.to_owned()));
    }
    let whole = i64::try_from(scaled).map_err(|_| PriceError::OutOfRange(text.to_owned()))?;
    if decimal > Decimal::from(999_999_999_i64) {
        return Err(PriceError::OutOfRange(text.to_owned()));
    }
    Ok(whole)
}

/// Splits `total` by `weights` so that the parts add up to it exactly: each gets the floor of its
/// share, and what is left goes to the largest remainders, ties to the smaller index. Where all
/// weights are zero, everything goes to the last part.
///
/// Weights are at most 2⁹⁵, and `total` is not negative; both hold for an hour of any node.
pub fn split(total: NanoUsd, weights: &[u128]) -> Vec<NanoUsd> {
    let sum: u128 = weights.iter().sum();
    let whole = u128::try_from(total).unwrap_or(0);
    if sum == 0 {
        let mut parts = vec![0; weights.len()];
        if let Some(last) = parts.last_mut() {
            *last = total;
        }
        return parts;
    }
    // Scaled down so that weight × total fits; both sides by the same shift.
    let shift = excess_bits(sum, whole);
    let scaled: Vec<u128> = weights.iter().map(|weight| weight >> shift).collect();
    let sum: u128 = scaled.iter().sum::<u128>().max(1);
    let mut parts: Vec<u128> = scaled.iter().map(|weight| weight * whole / sum).collect();
    let mut left = whole.saturating_sub(parts.iter().sum());
    let mut order: Vec<(u128, usize)> =
        scaled.iter().enumerate().map(|(index, weight)| (weight * whole % sum, index)).collect();
    order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in order {
        if left == 0 {
            break;
        }
        if let Some(part) = parts.get_mut(index) {
            *part += 1;
            left -= 1;
        }
    }
    parts.into_iter().map(|part| i64::try_from(part).unwrap_or(i64::MAX)).collect()
}

/// How many low bits to drop so that sum × total stays below 2¹²⁸.
fn excess_bits(sum: u128, total: u128) -> u32 {
    let bits = |value: u128| 128 - value.leading_zeros();
    (bits(sum) + bits(total)).saturating_sub(127)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_read_exactly_or_refused() {
        assert_eq!(nano_usd("0.0416"), Ok(41_600_000));
        assert_eq!(nano_usd("0.000000001"), Ok(1));
        assert_eq!(nano_usd("0"), Ok(0));
        assert_eq!(nano_usd("999999999"), Ok(999_999_999_000_000_000));
        assert_eq!(nano_usd("0.0000000001"), Err(PriceError::TooFine("0.0000000001".into())));
        assert_eq!(nano_usd("-1"), Err(PriceError::OutOfRange("-1".into())));
        assert_eq!(nano_usd("1e3x"), Err(PriceError::NotDecimal("1e3x".into())));
        assert_eq!(nano_usd("9999999999"), Err(PriceError::OutOfRange("9999999999".into())));
    }

    #[test]
    fn what_is_left_goes_to_the_largest_remainders_and_ties_to_the_first() {
        assert_eq!(split(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(split(10, &[1, 2, 3]), [2, 3, 5]);
        assert_eq!(split(1, &[5, 6]), [0, 1]);
        assert_eq!(split(7, &[0, 0]), [0, 7]);
        assert_eq!(split(0, &[1, 2]), [0, 0]);
    }

    proptest! {
        #[test]
        fn parts_add_up_to_the_whole(
            total in 0_i64..i64::MAX,
            weights in prop::collection::vec(0_u128..(1 << 95), 1..40),
        ) {
            let parts = split(total, &weights);
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(total));
            prop_assert!(parts.iter().all(|part| *part >= 0));
        }

        #[test]
        fn more_weight_never_gets_less(total in 0_i64..1_000_000_000_000, weights in prop::collection::vec(0_u128..1_000_000, 2..20)) {
            let parts = split(total, &weights);
            for (a, b) in (0..weights.len()).flat_map(|a| (0..weights.len()).map(move |b| (a, b))) {
                if weights[a] > weights[b] {
                    prop_assert!(parts[a] >= parts[b]);
                }
            }
        }
    }
}
