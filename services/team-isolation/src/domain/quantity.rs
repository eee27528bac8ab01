//! Kubernetes quantities: read, checked, split and written as the API server writes them.
//!
//! The API server stores the canonical form (`1.5Gi` becomes `1536Mi`); rendering it ourselves
//! keeps "desired equals live" true, so that a steady reconcile makes no write.

use std::fmt;

/// Nano-units in one unit: the finest step that a Kubernetes quantity can hold.
const NANO: i128 = 1_000_000_000;
const BINARY: [(&str, i128); 6] =
    [("Ei", 1 << 60), ("Pi", 1 << 50), ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
/// Decimal suffixes with their value in nano-units, largest first.
const DECIMAL: [(&str, i128); 10] = [
    ("E", 1_000_000_000_000_000_000 * NANO),
    ("P", 1_000_000_000_000_000 * NANO),
    ("T", 1_000_000_000_000 * NANO),
    ("G", 1_000_000_000 * NANO),
    ("M", 1_000_000 * NANO),
    ("k", 1_000 * NANO),
    ("", NANO),
    ("m", 1_000_000),
    ("u", 1_000),
    ("n", 1),
];

/// A non-negative amount with the family of suffixes it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    nano: i128,
    binary: bool,
}

/// Why a text is no quantity that a quota or limit can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a known suffix.
    #[error("`{0}` is not a quantity; write for example 500m, 20, 64Gi or 1Ti")]
    NotANumber(String),
    /// Below zero.
    #[error("`{0}` is negative; write zero or more")]
    Negative(String),
    /// Beyond what Kubernetes stores (2^63 units).
    #[error("`{0}` is too large; the largest quantity is 8Ei")]
    TooLarge(String),
}

impl Quantity {
    /// Reads a quantity as Kubernetes does, exponent forms (`1e3`) included.
    ///
    /// # Errors
    /// [`QuantityError`], each variant naming the text.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let not_a_number = || QuantityError::NotANumber(text.to_owned());
        if let Some(positive) = text.strip_prefix('-') {
            let negative = Self::parse(positive)
                .map_or_else(|_| not_a_number(), |_| QuantityError::Negative(text.to_owned()));
            return Err(negative);
        }
        let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits_end);
        let (scale, binary) = scale_of(suffix).ok_or_else(not_a_number)?;
        let nano = scaled(number, scale).ok_or_else(not_a_number)?;
        if nano > i128::from(i64::MAX) * NANO {
            return Err(QuantityError::TooLarge(text.to_owned()));
        }
        Ok(Self { nano, binary })
    }

    /// So many whole ones.
    pub fn whole(count: u32) -> Self {
        Self { nano: i128::from(count) * NANO, binary: false }
    }

    /// The amount in nano-units, for comparison.
    pub const fn nano(self) -> i128 {
        self.nano
    }

    /// The sum of both, in this one's family of suffixes.
    pub const fn plus(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_add(other.nano), binary: self.binary || other.binary }
    }

    /// Another amount, in this one's family of suffixes.
    pub const fn with_nano(self, nano: i128) -> Self {
        Self { nano, binary: self.binary }
    }

    /// The share of part `index` when the amount is split over `parts`: whole units stay whole, and
    /// the parts add up to the amount exactly, the first parts taking the remainder.
    pub fn share(self, index: usize, parts: usize) -> Self {
        let (index, parts) = (index as i128, parts.max(1) as i128);
        let step = if self.nano % NANO == 0 { NANO } else { 1 };
        let units = self.nano / step;
        let extra = i128::from(index < units % parts);
        Self { nano: (units / parts + extra) * step, binary: self.binary }
    }
}

/// Value of one unit of `suffix` in nano-units, and whether it is a binary suffix.
fn scale_of(suffix: &str) -> Option<(i128, bool)> {
    if let Some((_, factor)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((factor * NANO, true));
    }
    if let Some((_, nano)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((*nano, false));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    if !(-9..=18).contains(&exponent) {
        return None;
    }
    Some((10_i128.checked_pow((exponent + 9).try_into().ok()?)?, false))
}

/// `number` (digits with at most one point) times `scale`, rounded up as Kubernetes does.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 20 || fraction.len() > 18 {
        return None;
    }
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let divisor = 10_i128.checked_pow(fraction.len().try_into().ok()?)?;
    let above = parse(whole)?.checked_mul(scale)?;
    let below = parse(fraction)?.checked_mul(scale)?;
    let rounded_up = below / divisor + i128::from(below % divisor != 0);
    above.checked_add(rounded_up)
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return formatter.write_str("0");
        }
        let units = self.nano / NANO;
        let whole = self.nano % NANO == 0;
        let binary = BINARY.iter().filter(|_| self.binary && whole && units >= 1024);
        if let Some((suffix, factor)) = binary.into_iter().find(|(_, factor)| units % factor == 0) {
            return write!(formatter, "{}{suffix}", units / factor);
        }
        // An amount that no binary suffix divides is stored in decimal form, whatever family it came from.
        let decimal = DECIMAL.iter().filter(|_| !(self.binary && whole && units < 1024));
        match decimal.into_iter().find(|(_, nano)| self.nano % nano == 0) {
            Some((suffix, nano)) => write!(formatter, "{}{suffix}", self.nano / nano),
            None => write!(formatter, "{units}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_api_server_writes_it() {
        for (text, canonical) in [
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("20", "20"),
            ("2000", "2k"),
            ("1e3", "1k"),
            ("1Ti", "1Ti"),
            ("0.1Gi", "107374182400m"),
            ("100Ki", "100Ki"),
            ("750m", "750m"),
            ("0", "0"),
        ] {
            assert_eq!(Quantity::parse(text).map(|q| q.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_text() {
        for text in ["", "ten", "1Zi", "1e30", "1.2.3", "Gi", "--1", "0x10", " 1"] {
            assert_eq!(Quantity::parse(text), Err(QuantityError::NotANumber(text.to_owned())), "{text}");
        }
        assert_eq!(Quantity::parse("-1"), Err(QuantityError::Negative("-1".to_owned())));
        assert_eq!(Quantity::parse("16Ei"), Err(QuantityError::TooLarge("16Ei".to_owned())));
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        for (text, parts) in [("20", 3), ("64Gi", 7), ("4", 5), ("500m", 3)] {
            let whole = Quantity::parse(text).unwrap();
            let total: i128 = (0..parts).map(|index| whole.share(index, parts).nano()).sum();
            assert_eq!(total, whole.nano(), "{text}");
        }
    }
}
