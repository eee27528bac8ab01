//! What a team should know beside whether it is isolated: one condition each, shown only where it
//! concerns the team, or concerned it before.

use std::collections::BTreeMap;

use mlp_crds::team::{CopiedObject, QuotaStatus};

use super::claims::Obstacle;
use super::hosts::Refused;
use super::quantity::Quantity;

/// Whether all hosts of the declaration are the team's.
pub const HOSTS: &str = "HostsGranted";
/// Whether all copies that are asked for could be made.
pub const COPIES: &str = "CopiesComplete";
/// Whether the quota is at least what is used.
pub const COVERS: &str = "QuotaCoversUse";
/// Whether the team uses most of its quota.
pub const NEAR_LIMIT: &str = "QuotaNearLimit";
/// Whether somebody makes the team's network policies true.
pub const NETWORK: &str = "NetworkEnforced";
/// Whether the team has every namespace that its members opened.
pub const OPENED: &str = "OpenedNamespacesReady";
/// Names that a message lists, at most.
const LISTED: usize = 5;
/// Whether classes and pools that the declaration names exist.
pub const REFERENCES: &str = "ReferencesFound";

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Condition type.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// CamelCase reason.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Whether it is worth showing to a team that never had it.
    pub matters: bool,
}

/// About the hosts of a team that declares some.
pub fn hosts(wanted: &[String], refused: &[Refused]) -> Note {
    let said = refused.iter().map(|Refused { host, team, theirs }| {
        format!("spec.ingress.hosts: {host} belongs to team {team} ({theirs}); choose another name, or have it taken out there")
    });
    Note {
        kind: HOSTS,
        holds: refused.is_empty(),
        reason: if refused.is_empty() { "Granted" } else { "HostOwnedByAnother" },
        message: if refused.is_empty() {
            format!("{} may be published", wanted.join(", "))
        } else {
            joined(said)
        },
        matters: !wanted.is_empty(),
    }
}

/// About the namespaces that members opened, of which some cannot be had.
pub fn opened(count: usize, obstructed: &[(String, Obstacle)]) -> Note {
    let said =
        obstructed.iter().map(|(_, obstacle)| format!("spec.namespaces, opened by a member: {obstacle}"));
    Note {
        kind: OPENED,
        holds: obstructed.is_empty(),
        reason: if obstructed.is_empty() { "Opened" } else { "OpenedNamespaceObstructed" },
        message: if obstructed.is_empty() {
            format!("{count} opened by members")
        } else {
            format!("{}; the rest of the team is as it should be", joined(said))
        },
        matters: count > 0,
    }
}

/// About copies.
pub fn copies(asked: usize, missing: &[&CopiedObject]) -> Note {
    let said = missing.iter().map(|copy| {
        let (kind, namespace, name) = (copy.kind, &copy.namespace, &copy.name);
        format!(
            "spec.copies: {kind:?} {namespace}/{name} is not there, or its owner does not let it be copied (label \
             mlplatform.dev/copyable=true)"
        )
    });
    Note {
        kind: COPIES,
        holds: missing.is_empty(),
        reason: if missing.is_empty() { "Copied" } else { "OriginalMissing" },
        message: if missing.is_empty() { "every copy is made".to_owned() } else { joined(said) },
        matters: asked > 0,
    }
}

/// About a quota that was lowered below its use: nothing is evicted, nothing new is admitted.
pub fn covers(declared: &BTreeMap<String, Quantity>, quota: &QuotaStatus) -> Note {
    let over: Vec<_> = uses(declared, quota).filter(|(_, used, hard)| used.nano() > hard.nano()).collect();
    let said = over.iter().map(|(key, used, hard)| format!("{key}: {used} in use of {hard}"));
    Note {
        kind: COVERS,
        holds: over.is_empty(),
        reason: if over.is_empty() { "Covered" } else { "QuotaBelowUse" },
        message: if over.is_empty() {
            "the quota covers what is used".to_owned()
        } else {
            format!("{}; nothing is evicted and nothing new is admitted until use has shrunk", joined(said))
        },
        matters: !over.is_empty(),
    }
}

/// A key that is near its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Kubernetes' quota key.
    pub key: String,
    /// In use.
    pub used: Quantity,
    /// The most.
    pub hard: Quantity,
    /// Used of hard, in whole percent.
    pub percent: i32,
}

/// Keys of which most is used: 80 percent of compute, 90 percent of pods.
pub fn near(quota: &QuotaStatus) -> Vec<Near> {
    let near = quota.hard.iter().filter_map(|(key, hard)| {
        let hard = Quantity::parse(hard.as_str()).ok()?;
        let used = Quantity::parse(quota.used.get(key)?.as_str()).ok()?;
        let percent = i32::try_from(used.nano().saturating_mul(100) / hard.nano().max(1)).unwrap_or(i32::MAX);
        (used.nano() > 0 && percent >= threshold(key)?).then(|| Near {
            key: key.clone(),
            used,
            hard,
            percent,
        })
    });
    near.collect()
}

/// Whether the team is near a limit.
pub fn near_limit(quota: &QuotaStatus) -> Note {
    let near = near(quota);
    let said =
        near.iter().map(|Near { key, used, hard, percent }| format!("{key} {percent} % ({used} of {hard})"));
    Note {
        kind: NEAR_LIMIT,
        holds: !near.is_empty(),
        reason: if near.is_empty() { "Headroom" } else { "NearLimit" },
        message: if near.is_empty() { "there is headroom".to_owned() } else { joined(said) },
        matters: !near.is_empty(),
    }
}

/// From which percentage on a key is near its limit (issue 4: 80 of cpu and memory, 90 of pods).
fn threshold(key: &str) -> Option<i32> {
    match key {
        "requests.cpu" | "limits.cpu" | "requests.memory" | "limits.memory" => Some(80),
        "pods" => Some(90),
        _ => None,
    }
}

fn uses<'a>(
    declared: &'a BTreeMap<String, Quantity>,
    quota: &'a QuotaStatus,
) -> impl Iterator<Item = (&'a str, Quantity, Quantity)> {
    declared.iter().filter_map(|(key, hard)| {
        let used = Quantity::parse(quota.used.get(key)?.as_str()).ok()?;
        Some((key.as_str(), used, *hard))
    })
}

/// About classes and pools: `missing` are paths with the name that is not there.
pub fn references(missing: &[String]) -> Note {
    Note {
        kind: REFERENCES,
        holds: missing.is_empty(),
        reason: if missing.is_empty() { "Found" } else { "UnknownReference" },
        message: if missing.is_empty() {
            "classes and pools of the declaration exist".to_owned()
        } else {
            format!("{}; whatever names them waits until they are there", missing.join("; "))
        },
        matters: !missing.is_empty(),
    }
}

/// Who makes NetworkPolicy true in the cluster, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nobody said.
    Unknown,
    /// The operator named the cluster's network.
    By(String),
    /// The nodes say it themselves.
    Nodes {
        /// Nodes on which something runs.
        real: usize,
        /// Those among them that do not say that policies hold.
        open: Vec<String>,
    },
}

impl Default for Network {
    fn default() -> Self {
        Self::Nodes { real: 0, open: Vec::new() }
    }
}

/// About the network policies of a team: `declared` is false where its own are off.
pub fn network(declared: bool, network: &Network) -> Note {
    let (holds, reason, message) = match network {
        _ if !declared => {
            let message = "spec.networkPolicy.mode is Off: every pod of the cluster reaches the team's";
            (false, "PolicyOff", message.to_owned())
        }
        Network::Unknown => {
            let message = "nobody said who enforces NetworkPolicy in this cluster; name it by --network-policy-enforcer \
                           of team-isolation, and until then take every pod to be reachable";
            (false, "EnforcerUnknown", message.to_owned())
        }
        Network::By(name) => {
            (true, "EnforcerNamed", format!("{name} enforces them, says the platform's operator"))
        }
        Network::Nodes { real: 0, .. } => {
            let message = "no node runs anything: nodes are simulated, or none has joined yet";
            (false, "NothingRuns", message.to_owned())
        }
        Network::Nodes { real, open } if open.is_empty() => {
            (true, "EveryNode", format!("every node enforces them ({real})"))
        }
        Network::Nodes { open, .. } => {
            let named = open.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
            let rest = open.len().saturating_sub(LISTED);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            (false, "NodesOpen", format!("pods on {named}{more} are reachable by all: no policy holds there"))
        }
    };
    Note { kind: NETWORK, holds, reason, message, matters: true }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use mlp_crds::Amount;

    use super::*;

    fn quota(hard: &[(&str, &str)], used: &[(&str, &str)]) -> QuotaStatus {
        let amounts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, amount)| ((*key).to_owned(), Amount::new(*amount))).collect()
        };
        QuotaStatus { hard: amounts(hard), used: amounts(used) }
    }

    fn declared(hard: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
        hard.iter().map(|(key, amount)| ((*key).to_owned(), Quantity::parse(amount).unwrap())).collect()
    }

    #[test]
    fn eighty_percent_of_compute_and_ninety_of_pods_are_near() {
        let hard = [("requests.cpu", "20"), ("pods", "50"), ("secrets", "10")];
        let near = |used: &[(&str, &str)]| near_limit(&quota(&hard, used));
        let used = [("requests.cpu", "16"), ("pods", "44"), ("secrets", "10")];
        assert_eq!(near(&used).message, "requests.cpu 80 % (16 of 20)");
        assert_eq!(near(&[("requests.cpu", "15999m"), ("pods", "45")]).message, "pods 90 % (45 of 50)");
        assert!(!near(&[("requests.cpu", "0")]).holds);
    }

    #[test]
    fn a_network_that_nobody_enforces_is_said_with_the_reason() {
        let nodes = |real, open: &[&str]| Network::Nodes {
            real,
            open: open.iter().map(|name| (*name).to_owned()).collect(),
        };
        let said = |declared, of: &Network| (network(declared, of).holds, network(declared, of).reason);
        assert_eq!(said(true, &nodes(2, &[])), (true, "EveryNode"));
        assert_eq!(said(true, &nodes(2, &["b"])), (false, "NodesOpen"));
        assert_eq!(said(true, &nodes(0, &[])), (false, "NothingRuns"));
        assert_eq!(said(true, &Network::By("cilium".to_owned())), (true, "EnforcerNamed"));
        assert_eq!(said(true, &Network::Unknown), (false, "EnforcerUnknown"));
        assert_eq!(said(false, &Network::By("cilium".to_owned())), (false, "PolicyOff"));
        let many = nodes(9, &["a", "b", "c", "d", "e", "f", "g"]);
        assert!(network(true, &many).message.contains("a, b, c, d, e and 2 more"));
    }

    #[test]
    fn an_opened_namespace_that_cannot_be_had_is_said_with_its_owner() {
        let theirs = Obstacle::OtherTeam { namespace: "ml-new".to_owned(), team: "data".to_owned() };
        let note = opened(2, &[("ml-new".to_owned(), theirs)]);
        assert!(!note.holds && note.reason == "OpenedNamespaceObstructed");
        assert!(note.message.contains("namespace ml-new belongs to team data"), "{}", note.message);
        assert!(opened(1, &[]).holds && !opened(0, &[]).matters);
    }

    #[test]
    fn a_quota_below_its_use_is_said_key_by_key() {
        let note = covers(&declared(&[("pods", "5")]), &quota(&[], &[("pods", "7")]));
        assert!(
            !note.holds && note.message.starts_with("pods: 7 in use of 5; nothing is evicted"),
            "{}",
            note.message
        );
    }
}
