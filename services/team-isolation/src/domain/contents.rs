//! What keeps a team from going: work and data that are still in its namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mlp_model::labels;

/// Kinds that block a removal, in the order in which a message names them: (kind, plural, group).
pub const BLOCKING: [Blocking; 12] = [
    Blocking { kind: "ApplicationSet", plural: "applicationsets", group: "argoproj.io", version: "v1alpha1" },
    Blocking { kind: "Application", plural: "applications", group: "argoproj.io", version: "v1alpha1" },
    Blocking { kind: "Database", plural: "databases", group: "mlplatform.dev", version: "v1alpha1" },
    Blocking { kind: "Cache", plural: "caches", group: "mlplatform.dev", version: "v1alpha1" },
    Blocking { kind: "Deployment", plural: "deployments", group: "apps", version: "v1" },
    Blocking { kind: "StatefulSet", plural: "statefulsets", group: "apps", version: "v1" },
    Blocking { kind: "DaemonSet", plural: "daemonsets", group: "apps", version: "v1" },
    Blocking { kind: "CronJob", plural: "cronjobs", group: "batch", version: "v1" },
    Blocking { kind: "Job", plural: "jobs", group: "batch", version: "v1" },
    Blocking { kind: "Pod", plural: "pods", group: "", version: "v1" },
    Blocking { kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims", group: "", version: "v1" },
    Blocking {
        kind: "VolumeSnapshot",
        plural: "volumesnapshots",
        group: "snapshot.storage.k8s.io",
        version: "v1",
    },
];

/// A kind whose objects are work or data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocking {
    /// Kind.
    pub kind: &'static str,
    /// Plural, as in the API's path.
    pub plural: &'static str,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Version that is listed.
    pub version: &'static str,
}

/// Numbers of blocking objects by namespace and kind, zeros absent; and namespaces that are not the team's to
/// delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    counts: BTreeMap<String, BTreeMap<usize, usize>>,
    adopted: BTreeSet<String>,
}

impl Contents {
    /// Notes that `namespace` holds `count` objects of `kind`. A kind that does not block is ignored.
    pub fn note(&mut self, namespace: &str, kind: &str, count: usize) {
        let Some(rank) = BLOCKING.iter().position(|blocking| blocking.kind == kind) else { return };
        if count > 0 {
            *self.counts.entry(namespace.to_owned()).or_default().entry(rank).or_default() += count;
        }
    }

    /// Notes that `namespace` was there before the team.
    pub fn adopted(&mut self, namespace: &str) {
        self.adopted.insert(namespace.to_owned());
    }

    /// Whether nothing blocks.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.adopted.is_empty()
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, namespace) in self.adopted.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(
                formatter,
                "{separator}namespace {namespace} was there before the team; remove its annotation {} and it goes with the team",
                labels::ADOPT_BY
            )?;
        }
        if !self.adopted.is_empty() && !self.counts.is_empty() {
            formatter.write_str("; ")?;
        }
        for (position, (namespace, counts)) in self.counts.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}namespace {namespace} still holds ")?;
            for (place, (rank, count)) in counts.iter().enumerate() {
                let comma = if place == 0 { "" } else { ", " };
                let kind = BLOCKING.get(*rank).map_or("object", |blocking| blocking.kind);
                let plural = if *count == 1 { "" } else { "s" };
                write!(formatter, "{comma}{count} {kind}{plural}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_and_how_many() {
        let mut contents = Contents::default();
        contents.note("ml-team", "Pod", 2);
        contents.note("ml-team", "Database", 1);
        contents.note("ml-lab", "PersistentVolumeClaim", 3);
        contents.note("ml-team", "Job", 0);
        contents.note("ml-team", "ConfigMap", 9);
        assert_eq!(
            contents.to_string(),
            "namespace ml-lab still holds 3 PersistentVolumeClaims; namespace ml-team still holds 1 Database, 2 Pods"
        );
        assert!(!contents.is_empty());
        let mut adopted = Contents::default();
        adopted.adopted("legacy");
        assert!(
            !adopted.is_empty()
                && adopted.to_string().starts_with("namespace legacy was there before the team")
        );
    }
}
