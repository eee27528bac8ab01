//! The addresses of one platform, chosen once per checkout and remembered.
//!
//! Two platforms side by side on one machine get different ranges, so that their real nodes can
//! be reached at the same time. The simulated nodes only use them as numbers.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::layout::{Layout, LayoutError, write_private};

/// How many platforms can have ranges of their own.
const SLOTS: u8 = 32;

/// The ranges of one platform, as parts of `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    slot: u8,
}

impl Network {
    /// Reads the remembered ranges, or chooses and remembers them.
    ///
    /// # Errors
    /// The file is damaged or cannot be written.
    pub fn open(layout: &Layout) -> Result<Self, LayoutError> {
        let path = layout.state().join("network.json");
        let slot = match fs::read(&path) {
            Ok(bytes) => {
                let network: Option<Self> = serde_json::from_slice(&bytes).ok();
                return network
                    .filter(|network| network.slot < SLOTS)
                    .ok_or_else(|| layout.corrupt("network.json is not readable"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                u8::try_from(RandomState::new().hash_one(()) % u64::from(SLOTS)).unwrap_or(0)
            }
            Err(error) => return Err(layout.corrupt(format!("network.json: {error}"))),
        };
        let network = Self { slot };
        let text = serde_json::to_vec(&network).map_err(|error| layout.corrupt(error.to_string()))?;
        write_private(&path, &text)?;
        Ok(network)
    }

    /// Range of Services' cluster addresses.
    #[must_use]
    pub fn services(&self) -> String {
        format!("10.{}.0.0/16", 96 + self.slot)
    }

    /// The `kubernetes` Service: the first address of the range.
    #[must_use]
    pub const fn kubernetes_service(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 96 + self.slot, 0, 1)
    }

    /// The cluster's DNS Service.
    #[must_use]
    pub const fn dns_service(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 96 + self.slot, 0, 10)
    }

    /// Range of pods on the real node.
    #[must_use]
    pub fn pods(&self) -> String {
        format!("10.{}.0.0/17", 160 + self.slot)
    }

    /// Ranges of the cluster itself, in CIDR notation: Services, pods, and the link between this machine and
    /// the real node.
    #[must_use]
    pub fn cluster_ranges(&self) -> [String; 3] {
        [self.services(), self.pods(), format!("10.{}.0.0/30", 200 + self.slot)]
    }

    /// Range of pods on simulated nodes, which nothing routes to.
    #[must_use]
    pub fn simulated_pods(&self) -> String {
        format!("10.{}.128.1/17", 160 + self.slot)
    }

    /// This machine's end of the link to the real node; the API server is reached at it.
    #[must_use]
    pub const fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200 + self.slot, 0, 1)
    }

    /// The real node's end of the link, a `/30`.
    #[must_use]
    pub const fn node_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 200 + self.slot, 0, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_and_do_not_overlap() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::of_checkout(root.path());
        layout.open().unwrap();
        let network = Network::open(&layout).unwrap();
        assert_eq!(Network::open(&layout).unwrap(), network);
        for slot in [0, SLOTS - 1] {
            let network = Network { slot };
            let seconds = [96 + slot, 160 + slot, 200 + slot];
            assert_eq!(network.services(), format!("10.{}.0.0/16", seconds[0]));
            assert!(seconds[0] < 160 && seconds[1] < 200);
        }
        fs::write(layout.state().join("network.json"), "{\"slot\":77}").unwrap();
        assert!(Network::open(&layout).is_err());
    }
}
