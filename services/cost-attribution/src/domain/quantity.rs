//! Kubernetes quantities as whole numbers: millicores, bytes, GPUs.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use rust_decimal::Decimal;

/// Resources, each in its smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Whole GPUs.
    pub gpu: u64,
}

impl Amounts {
    /// The larger of both, resource by resource.
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory: self.memory.max(other.memory),
            gpu: self.gpu.max(other.gpu),
        }
    }

    /// The sum, resource by resource.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory: self.memory.saturating_add(other.memory),
            gpu: self.gpu.saturating_add(other.gpu),
        }
    }

    /// Reads `cpu`, `memory` and `nvidia.com/gpu` of a resource list; what is absent is zero.
    pub fn read<'a>(list: impl IntoIterator<Item = (&'a String, &'a Quantity)>) -> Self {
        let mut amounts = Self::default();
        for (name, quantity) in list {
            match name.as_str() {
                "cpu" => amounts.cpu_milli = parse(&quantity.0, 1_000).unwrap_or(0),
                "memory" => amounts.memory = parse(&quantity.0, 1).unwrap_or(0),
                "nvidia.com/gpu" => amounts.gpu = parse(&quantity.0, 1).unwrap_or(0),
                _ => {}
            }
        }
        amounts
    }
}

/// Reads a quantity in units of 1/`per`, rounded up as Kubernetes does.
pub fn parse(text: &str, per: u64) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(split)?;
    let exponent = suffix.strip_prefix(['e', 'E']).filter(|rest| rest.parse::<i32>().is_ok());
    let number: Decimal = number.parse().ok()?;
    let factor = match (suffix, exponent) {
        (_, Some(power)) => Decimal::from_scientific(&format!("1e{power}")).ok()?,
        ("", _) => Decimal::ONE,
        ("n", _) => Decimal::new(1, 9),
        ("u", _) => Decimal::new(1, 6),
        ("m", _) => Decimal::new(1, 3),
        ("k", _) => Decimal::from(1_000_u64),
        ("M", _) => Decimal::from(1_000_000_u64),
        ("G", _) => Decimal::from(1_000_000_000_u64),
        ("T", _) => Decimal::from(1_000_000_000_000_u64),
        ("P", _) => Decimal::from(1_000_000_000_000_000_u64),
        ("Ki", _) => Decimal::from(1_u64 << 10),
        ("Mi", _) => Decimal::from(1_u64 << 20),
        ("Gi", _) => Decimal::from(1_u64 << 30),
        ("Ti", _) => Decimal::from(1_u64 << 40),
        ("Pi", _) => Decimal::from(1_u64 << 50),
        _ => return None,
    };
    let scaled = number.checked_mul(factor)?.checked_mul(Decimal::from(per))?;
    u64::try_from(scaled.ceil()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, per, expected) in [
            ("1", 1_000, 1_000),
            ("250m", 1_000, 250),
            ("0.5", 1_000, 500),
            ("1500u", 1_000, 2),
            ("1Gi", 1, 1 << 30),
            ("64M", 1, 64_000_000),
            ("1e3", 1, 1_000),
            ("1.5Ki", 1, 1_536),
        ] {
            assert_eq!(parse(text, per), Some(expected), "{text}");
        }
        for bad in ["", "x", "1Xi", "-1", "1 Gi"] {
            assert_eq!(parse(bad, 1), None, "{bad}");
        }
    }
}
