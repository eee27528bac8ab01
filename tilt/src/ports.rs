//! Free ports, remembered, so that `up` again keeps every address that people noted.
//!
//! Ports come from a range that the system hands to nobody by itself, each checkout begins its
//! search at another place, and each candidate is bound once to prove it free. A remembered port
//! that somebody else took meanwhile is an error with the remedy, never a silent move.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use mlp_model::{Class, Classified};

use crate::layout::{Layout, LayoutError, write_private};

/// Below the ephemeral range of Linux and below Kubernetes' node ports.
const RANGE: Range<u16> = 20_000..30_000;

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A remembered port is used by a process that is not ours.
    #[error(
        "port {port} ({purpose}) is used by another process; stop that process, or run `cargo mlp up --fresh-ports`"
    )]
    Taken {
        /// The port.
        port: u16,
        /// What we use it for.
        purpose: String,
    },
    /// No free port in the range.
    #[error("no free port between {} and {} for {purpose}; stop what uses them", RANGE.start, RANGE.end)]
    Exhausted {
        /// What it was wanted for.
        purpose: String,
    },
    /// The list of ports cannot be read or written.
    #[error("the remembered ports cannot be used")]
    Layout {
        /// Why.
        #[from]
        source: LayoutError,
    },
}

impl Classified for PortError {
    fn class(&self) -> Class {
        Class::Terminal
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "PortTaken",
            Self::Exhausted { .. } => "PortsExhausted",
            Self::Layout { source } => source.reason(),
        }
    }
}

/// The ports of one platform, by purpose (`etcd-client`, `kube-apiserver`, ...).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(BTreeMap<String, u16>);

impl Ports {
    /// Reads the remembered ports; none when nothing was started yet.
    ///
    /// # Errors
    /// The file is there but not readable as a list of ports.
    pub fn load(layout: &Layout) -> Result<Self, LayoutError> {
        match fs::read(layout.ports()) {
            Ok(bytes) => {
                let ports = serde_json::from_slice(&bytes);
                ports.map(Self).map_err(|error| layout.corrupt(format!("ports.json: {error}")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(layout.corrupt(format!("ports.json: {error}"))),
        }
    }

    /// The port of a purpose, if it has one.
    #[must_use]
    pub fn get(&self, purpose: &str) -> Option<u16> {
        self.0.get(purpose).copied()
    }

    /// Gives each purpose a port and remembers all. `ours` says which purposes are served by a
    /// running process of ours, so that their port being busy is right.
    ///
    /// # Errors
    /// A remembered port is taken by somebody else, none is free, or the list cannot be written.
    pub fn assign(
        &mut self,
        layout: &Layout,
        purposes: &[&str],
        ours: impl Fn(&str) -> bool,
    ) -> Result<(), PortError> {
        let before = self.0.clone();
        for purpose in purposes {
            match self.get(purpose) {
                Some(port) if !ours(purpose) && !is_free(port) => {
                    return Err(PortError::Taken { port, purpose: (*purpose).into() });
                }
                Some(_) => {}
                None => {
                    let port = free_port_except(|port| self.0.values().any(|taken| *taken == port));
                    let port = port.ok_or_else(|| PortError::Exhausted { purpose: (*purpose).into() })?;
                    self.0.insert((*purpose).into(), port);
                }
            }
        }
        if self.0 != before {
            let text =
                serde_json::to_vec_pretty(&self.0).map_err(|error| layout.corrupt(error.to_string()))?;
            write_private(&layout.ports(), &text)?;
        }
        Ok(())
    }
}

/// A port that was free a moment ago. Somebody may take it before it is used: start, look, and
/// try again with another.
#[must_use]
pub fn free_port() -> Option<u16> {
    free_port_except(|_| false)
}

fn free_port_except(taken: impl Fn(u16) -> bool) -> Option<u16> {
    let size = RANGE.end - RANGE.start;
    // A fresh RandomState hashes nothing to another number each time: a start that two processes
    // hardly share, without a generator of random numbers.
    let start = u16::try_from(RandomState::new().hash_one(()) % u64::from(size)).unwrap_or(0);
    (0..size).map(|step| RANGE.start + (start + step) % size).find(|port| !taken(*port) && is_free(*port))
}

/// Whether nobody listens on the port, on any address.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &tempfile::TempDir) -> Layout {
        let layout = Layout::of_checkout(root.path());
        layout.open().unwrap();
        layout
    }

    #[test]
    fn ports_are_kept_and_two_platforms_do_not_share() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let purposes = ["etcd-client", "kube-apiserver", "nats"];
        let mut first = Ports::default();
        first.assign(&layout(&one), &purposes, |_| false).unwrap();
        let held: Vec<_> = purposes
            .iter()
            .map(|purpose| TcpListener::bind(("127.0.0.1", first.get(purpose).unwrap())).unwrap())
            .collect();
        let mut second = Ports::default();
        second.assign(&layout(&two), &purposes, |_| false).unwrap();
        for purpose in purposes {
            assert!(RANGE.contains(&first.get(purpose).unwrap()));
            assert_ne!(first.get(purpose), second.get(purpose));
        }
        drop(held);
        let mut again = Ports::load(&layout(&one)).unwrap();
        again.assign(&layout(&one), &purposes, |_| false).unwrap();
        assert_eq!(again, first);
    }

    #[test]
    fn a_port_that_somebody_took_is_named_unless_we_are_that_somebody() {
        let root = tempfile::tempdir().unwrap();
        let layout = layout(&root);
        let mut ports = Ports::default();
        ports.assign(&layout, &["nats"], |_| false).unwrap();
        let port = ports.get("nats").unwrap();
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let line = ports.assign(&layout, &["nats"], |_| false).unwrap_err().to_string();
        assert!(
            line.contains(&port.to_string()) && line.contains("nats") && line.contains("--fresh-ports"),
            "{line}"
        );
        ports.assign(&layout, &["nats"], |_| true).unwrap();
    }

    #[test]
    fn a_damaged_list_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let layout = layout(&root);
        fs::write(layout.ports(), "[").unwrap();
        assert!(Ports::load(&layout).unwrap_err().to_string().contains("ports.json"));
    }
}
