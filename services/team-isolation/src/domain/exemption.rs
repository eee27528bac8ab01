//! Exemptions from rules: who approved what, until when.
//!
//! The end is written beside the namespace's lists and compared by the API server with the time at
//! which an object is created, so that an exemption ends whether this service runs or not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mlp_crds::{IsolationExemption, IsolationExemptionSpec};

/// Rules that can be lifted for a time. What guards the platform itself is not among them.
pub const LIFTABLE: [&str; 50] = [
    "certificate-authority",
    "certificate-request",
    "data-source",
    "default-backend",
    "device-class",
    "device-env",
    "disruption-budget",
    "extended-resource",
    "external-ip",
    "external-name",
    "foreign-peer",
    "gateway",
    "gateway-kind",
    "grace-period",
    "host",
    "host-handler",
    "image-pull-always",
    "image-registry",
    "image-tag",
    "ingress-annotation",
    "ingress-class",
    "ingress-text",
    "job-history",
    "job-ttl",
    "node-name",
    "node-pool",
    "open-policy",
    "pod-affinity",
    "priority-class",
    "probes",
    "protected-address",
    "queue",
    "read-only-root",
    "resources",
    "role-ref",
    "role-rules",
    "role-subject",
    "route-backend",
    "runtime-class",
    "schedule",
    "scheduler",
    "service-type",
    "snapshot-class",
    "snapshot-content",
    "storage-class",
    "token-secret",
    "toleration",
    "volume-attributes-class",
    "volume-name",
    "volume-type",
];

/// The ends of a team's exemptions, by namespace and rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions(BTreeMap<String, BTreeMap<String, Timestamp>>);

impl Exemptions {
    /// Gathers what `exemptions` lift for `team`. Of two for the same rule the later end holds; an end
    /// that has passed is left out, as it lifts nothing any more.
    pub fn gather<'a>(
        team: &str,
        namespaces: &[String],
        exemptions: impl Iterator<Item = &'a IsolationExemption>,
        now: Timestamp,
    ) -> Self {
        let mut ends: BTreeMap<String, BTreeMap<String, Timestamp>> = BTreeMap::new();
        for exemption in exemptions.filter(|exemption| exemption.spec.team == team) {
            let spec = &exemption.spec;
            let Ok(end) = spec.expires.parse::<Timestamp>() else { continue };
            let live = end > now && exemption.metadata.deletion_timestamp.is_none();
            let wanted = |name: &&String| spec.namespaces.is_empty() || spec.namespaces.contains(name);
            for namespace in namespaces.iter().filter(|name| live && wanted(name)) {
                for rule in spec.rules.iter().filter(|rule| LIFTABLE.contains(&rule.as_str())) {
                    let known = ends.entry(namespace.clone()).or_default().entry(rule.clone()).or_insert(end);
                    *known = end.max(*known);
                }
            }
        }
        Self(ends)
    }

    /// The rules that are lifted in a namespace, with their ends as RFC 3339.
    pub fn of(&self, namespace: &str) -> impl Iterator<Item = (String, String)> {
        let ends = self.0.get(namespace).cloned().unwrap_or_default();
        ends.into_iter().map(|(rule, end)| (rule, end.to_string()))
    }

    /// When the first of them ends: the annotations are to be written anew then.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.0.values().flat_map(BTreeMap::values).min().copied()
    }
}

/// Whether an exemption is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lifts its rules until this moment.
    InForce(Timestamp),
    /// Its end has passed.
    Expired,
    /// It names rules that nobody can lift.
    NotLiftable(Vec<String>),
    /// Its end is no moment.
    NoMoment,
}

/// How an exemption stands now.
pub fn standing(spec: &IsolationExemptionSpec, now: Timestamp) -> Standing {
    let wrong: Vec<_> =
        spec.rules.iter().filter(|rule| !LIFTABLE.contains(&rule.as_str())).cloned().collect();
    match spec.expires.parse::<Timestamp>() {
        Err(_) => Standing::NoMoment,
        Ok(end) if end <= now => Standing::Expired,
        Ok(_) if !wrong.is_empty() => Standing::NotLiftable(wrong),
        Ok(end) => Standing::InForce(end),
    }
}

impl Standing {
    /// Whether all of its rules are lifted.
    pub const fn holds(&self) -> bool {
        matches!(self, Self::InForce(_))
    }

    /// CamelCase reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InForce(_) => "InForce",
            Self::Expired => "Expired",
            Self::NotLiftable(_) => "RuleNotLiftable",
            Self::NoMoment => "InvalidExpiry",
        }
    }

    /// For people.
    pub fn message(&self) -> String {
        match self {
            Self::InForce(end) => format!("objects that are created before {end} are exempted"),
            Self::Expired => "its end has passed; what was admitted under it stays".to_owned(),
            Self::NotLiftable(rules) => format!(
                "spec.rules: {} cannot be lifted; the others of the list are. Rules that can: {}",
                rules.join(", "),
                LIFTABLE.join(", ")
            ),
            Self::NoMoment => {
                "spec.expires: write a moment in UTC, for example 2027-01-31T00:00:00Z".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exemption(team: &str, namespaces: &[&str], rule: &str, expires: &str) -> IsolationExemption {
        serde_json::from_value(json!({
            "apiVersion": "mlplatform.dev/v1alpha1",
            "kind": "IsolationExemption",
            "metadata": {"name": "x"},
            "spec": {
                "team": team, "namespaces": namespaces, "rules": [rule], "expires": expires,
                "reason": "r", "approvedBy": "a", "ticket": "T-1",
            },
        }))
        .unwrap()
    }

    #[test]
    fn an_exemption_says_how_it_stands() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let of = |rule, expires| standing(&exemption("ml", &[], rule, expires).spec, now).reason();
        assert_eq!(of("image-tag", "2026-02-01T00:00:00Z"), "InForce");
        assert_eq!(of("image-tag", "2025-02-01T00:00:00Z"), "Expired");
        assert_eq!(of("namespace-keys", "2026-02-01T00:00:00Z"), "RuleNotLiftable");
        assert_eq!(of("image-tag", "2026-13-01T00:00:00Z"), "InvalidExpiry");
    }

    #[test]
    fn the_later_end_holds_and_a_past_one_lifts_nothing() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let namespaces = ["ml-a".to_owned(), "ml-b".to_owned()];
        let all = [
            exemption("ml", &[], "image-tag", "2026-02-01T00:00:00Z"),
            exemption("ml", &["ml-a"], "image-tag", "2026-03-01T00:00:00Z"),
            exemption("ml", &[], "host", "2025-12-31T00:00:00Z"),
            exemption("ml", &[], "namespace-keys", "2026-02-01T00:00:00Z"),
            exemption("app", &["ml-a"], "queue", "2026-02-01T00:00:00Z"),
        ];
        let gathered = Exemptions::gather("ml", &namespaces, all.iter(), now);
        let of = |namespace: &str| gathered.of(namespace).collect::<Vec<_>>();
        assert_eq!(of("ml-a"), [("image-tag".to_owned(), "2026-03-01T00:00:00Z".to_owned())]);
        assert_eq!(of("ml-b"), [("image-tag".to_owned(), "2026-02-01T00:00:00Z".to_owned())]);
        assert_eq!(gathered.next_end().unwrap().to_string(), "2026-02-01T00:00:00Z");
    }
}
