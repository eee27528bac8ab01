//! Label selectors and address blocks.

use std::net::IpAddr;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::Labels;

/// Whether a selector selects; an empty one selects everything.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    selector.match_labels.iter().flatten().all(equal)
        && selector.match_expressions.iter().flatten().all(|requirement| holds(requirement, labels))
}

/// As `metav1.LabelSelectorRequirement` says: a label that is absent is not in any list.
fn holds(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed =
        || value.is_some_and(|value| requirement.values.iter().flatten().any(|other| other == value));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // The API server admits no other; whoever writes one selects nothing.
        _ => false,
    }
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// The text is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no block of addresses; write for example 10.0.0.0/16")]
pub struct NoCidr(String);

impl FromStr for Cidr {
    type Err = NoCidr;

    fn from_str(text: &str) -> Result<Self, NoCidr> {
        let no_cidr = || NoCidr(text.to_owned());
        let (network, prefix) = text.split_once('/').ok_or_else(no_cidr)?;
        let network: IpAddr = network.parse().map_err(|_| no_cidr())?;
        let prefix: u8 = prefix.parse().map_err(|_| no_cidr())?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(no_cidr()) } else { Ok(Self { network, prefix }) }
    }
}

impl Cidr {
    /// Whether an address is in the block; never one of the other family.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same(u128::from(network.to_bits()), u128::from(address.to_bits()), 32 - self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same(network.to_bits(), address.to_bits(), 128 - self.prefix)
            }
            _ => false,
        }
    }
}

/// Whether two addresses agree in all but their last `free` bits.
fn same(one: u128, other: u128, free: u8) -> bool {
    (one ^ other).checked_shr(u32::from(free)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_their_own_family_only() {
        for (block, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("169.254.169.254/32", "169.254.169.254", true),
            ("169.254.169.254/32", "169.254.169.253", false),
        ] {
            assert_eq!(
                block.parse::<Cidr>().unwrap().contains(address.parse().unwrap()),
                inside,
                "{block} {address}"
            );
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
