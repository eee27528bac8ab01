//! Whether a team has every piece of its isolation: the checks of the multi-tenancy benchmark (18, and
//! the six that were pending there), and the seed's own (labels, limits, account).

use std::collections::BTreeSet;

use mlp_crds::team::PodSecurityLevel;
use serde_json::Value;

use super::admission::LISTS;
use super::model::DeclaredTeam;
use super::objects::{Key, Kind, limits, network, quota};
use super::plan::Observed;
use super::rights;

/// What must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Pod Security at this level or above.
    Level(PodSecurityLevel),
    /// A policy of `deploy/admission`, with its binding.
    Policy(&'static str),
    /// A rule of the tier that refuses.
    Rule(&'static str),
    /// Keys of the quota.
    Quota(&'static [&'static str]),
    /// Roles and bindings as declared.
    Rights,
    /// Default deny, and the flows that are admitted.
    Network,
    /// The seed's labels.
    Labels,
    /// A limit range.
    Limits,
    /// The account of the team's automation.
    Account,
}

use PodSecurityLevel::{Baseline, Restricted};

const COMPUTE: &[&str] = &["requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const OBJECTS: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];

/// Id, title, piece. Ids of the pending checks are those of their issues; one id of the benchmark stands
/// twice there, for hostPath and for node ports.
const CHECKS: [(&str, &str, Piece); 28] = [
    ("MTB-PL1-CC-CPI-1", "no rights on what belongs to the cluster", Piece::Rights),
    ("MTB-PL1-BC-CPI-2", "objects of the platform stay as they are", Piece::Policy("mlp-managed")),
    ("MTB-PL1-BC-CPI-3", "no added capabilities", Piece::Level(Restricted)),
    ("MTB-PL1-BC-CPI-4", "no containers as root", Piece::Level(Restricted)),
    ("MTB-PL1-BC-CPI-5", "no privileged containers", Piece::Level(Baseline)),
    ("MTB-PL1-BC-CPI-6", "no privilege escalation", Piece::Level(Restricted)),
    ("MTB-PL1-CC-TI-1", "quotas stay as they are", Piece::Policy("mlp-managed")),
    ("MTB-PL1-CC-TI-2", "no rights on other teams", Piece::Rights),
    ("MTB-PL1-BC-HI-1", "no host paths", Piece::Level(Baseline)),
    ("MTB-PL1-BC-HI-1/NodePort", "no node ports", Piece::Policy("mlp-services")),
    ("MTB-PL1-BC-HI-3", "no host network and ports", Piece::Level(Baseline)),
    ("MTB-PL1-BC-HI-4", "no host PIDs", Piece::Level(Baseline)),
    ("MTB-PL1-BC-HI-5", "no host IPC", Piece::Level(Baseline)),
    ("MTB-PL1-CC-FNS-1", "a quota of cpu and memory", Piece::Quota(COMPUTE)),
    ("MTB-PL1-CC-FNS-1/storage", "a quota of storage", Piece::Quota(&["requests.storage"])),
    ("MTB-PL1-CC-FNS-2", "a quota of objects", Piece::Quota(OBJECTS)),
    ("MTB-PL1-CC-DI-1", "images are always pulled", Piece::Rule("image-pull-always")),
    ("MTB-PL2-BC-OPS-3", "roles and bindings of its own", Piece::Rights),
    (
        "MTB-PL2-BC-OPS-4",
        "network policies of its own, none of them open",
        Piece::Policy("mlp-network-policies"),
    ),
    ("MTB-1198", "storage by claims only", Piece::Policy("mlp-pods")),
    ("MTB-1199", "volumes go with their claims", Piece::Policy("mlp-cluster")),
    ("MTB-1200", "no volumes that exist already", Piece::Policy("mlp-storage")),
    ("MTB-1201", "no traffic between teams", Piece::Network),
    ("MTB-1202/1203", "bindings to members only", Piece::Policy("mlp-rbac")),
    ("MLP-GPU", "devices only where the quota has some", Piece::Policy("mlp-pods")),
    ("MLP-LABELS", "the labels team, cost-center and environment", Piece::Labels),
    ("MLP-LIMITS", "a limit range", Piece::Limits),
    ("MLP-ACCOUNT", "an account for automation", Piece::Account),
];

/// One check of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Id.
    pub id: &'static str,
    /// What is wanted.
    pub title: &'static str,
    /// The namespace.
    pub namespace: String,
    /// Nothing where the piece is there; else what is missing and how to mend it.
    pub missing: Option<String>,
}

/// Names of what `deploy/admission` installs, as far as it is there.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// Policies that are bound.
    pub policies: BTreeSet<String>,
    /// Roles of teams.
    pub roles: BTreeSet<String>,
}

/// Every check of every namespace.
pub fn checks(team: &DeclaredTeam, observed: &Observed, installed: &Installed) -> Vec<Check> {
    let look = Look { team, observed, installed };
    let all = team.namespaces.iter().flat_map(|namespace| {
        let of = CHECKS.iter().map(|&(id, title, piece)| Check {
            id,
            title,
            namespace: namespace.name.clone(),
            missing: look.missing(&namespace.name, piece),
        });
        of.collect::<Vec<_>>()
    });
    all.collect()
}

/// Pieces that are there, of all, in whole percent, rounded down: 100 only when nothing is missing.
pub fn percent(checks: &[Check]) -> i32 {
    let there = checks.iter().filter(|check| check.missing.is_none()).count();
    i32::try_from(there * 100 / checks.len().max(1)).unwrap_or_default()
}

struct Look<'a> {
    team: &'a DeclaredTeam,
    observed: &'a Observed,
    installed: &'a Installed,
}

impl Look<'_> {
    fn object(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.observed.live.get(&Key { kind, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn missing(&self, namespace: &str, piece: Piece) -> Option<String> {
        let live = self.object(Kind::Namespace, namespace, namespace);
        let meta = |map: &str, key: &str| live?.pointer("/metadata")?.get(map)?.get(key)?.as_str();
        match piece {
            Piece::Level(wanted) => {
                let found = meta("labels", "pod-security.kubernetes.io/enforce").unwrap_or("nothing");
                let enough =
                    found == Restricted.as_str() || (wanted == Baseline && found == Baseline.as_str());
                (!enough).then(|| {
                    format!(
                        "Pod Security enforces {found}, not {}; raise spec.podSecurity.enforce",
                        wanted.as_str()
                    )
                })
            }
            Piece::Policy(name) => (!self.installed.policies.contains(name)).then(|| {
                format!("ValidatingAdmissionPolicy {name} is not installed and bound; apply deploy/admission")
            }),
            Piece::Rule(name) => {
                let denied = meta("annotations", &format!("{LISTS}/denied-rules")).unwrap_or_default();
                (!denied.split(',').any(|rule| rule == name)).then(|| {
                    format!("rule {name} does not refuse in this tier; move the namespace to a stricter environment")
                })
            }
            Piece::Quota(keys) => {
                let hard = self
                    .object(Kind::ResourceQuota, namespace, quota::NAME)
                    .and_then(|quota| quota.pointer("/status/hard"));
                let absent: Vec<_> = keys
                    .iter()
                    .filter(|key| hard.is_none_or(|hard| hard.get(**key).is_none()))
                    .copied()
                    .collect();
                (!absent.is_empty())
                    .then(|| format!("no quota for {}; set it under spec.quota", absent.join(", ")))
            }
            Piece::Rights => {
                let wanted = self.team.members.keys().chain(self.team.accounts.iter().map(|(_, role)| role));
                // The API server binds a role that is not there, and gives nothing by it.
                let mut roles = wanted.clone().map(|role| rights::role_name(*role));
                if let Some(name) = roles.find(|name| !self.installed.roles.contains(*name)) {
                    return Some(format!("ClusterRole {name} is not installed; apply deploy/admission"));
                }
                let absent = wanted
                    .map(|role| rights::binding_name(*role))
                    .find(|name| self.object(Kind::RoleBinding, namespace, name).is_none());
                absent.map(|name| {
                    format!("RoleBinding {name} is not there; the service makes it when the team is Ready")
                })
            }
            Piece::Network => {
                let policy = self.object(Kind::NetworkPolicy, namespace, network::NAME);
                policy
                    .is_none()
                    .then(|| "no default deny; set spec.networkPolicy.mode to Enforced".to_owned())
            }
            Piece::Labels => {
                let absent: Vec<_> = ["team", "cost-center", "environment"]
                    .into_iter()
                    .filter(|key| meta("labels", key).is_none())
                    .collect();
                (!absent.is_empty()).then(|| {
                    format!(
                        "label {} is missing; the service writes it when the team is Ready",
                        absent.join(", ")
                    )
                })
            }
            Piece::Limits => self
                .object(Kind::LimitRange, namespace, limits::NAME)
                .is_none()
                .then(|| "no limit range; declare spec.limitRange".to_owned()),
            Piece::Account => self
                .object(Kind::ServiceAccount, namespace, self.team.service_account())
                .is_none()
                .then(|| format!("ServiceAccount {} is not there", self.team.service_account())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::model::{Site, declare};
    use crate::domain::objects::{self, Surroundings};

    #[test]
    fn a_missing_piece_is_named_with_its_remedy() {
        let team = json!({"apiVersion": "mlplatform.dev/v1alpha1", "kind": "Team", "metadata": {"name": "ml", "uid": "u"}, "spec": {
            "namespaces": [{"name": "ml-prod", "environment": "prod"}],
            "quota": {"requests": {"cpu": "1", "memory": "1Gi", "storage": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"},
                "objects": {"pods": 5, "services": 1, "replicationcontrollers": 0, "secrets": 1, "configmaps": 1, "persistentvolumeclaims": 1}},
            "limitRange": {"container": {"max": {"cpu": "1"}}},
        }});
        let team = declare(&serde_json::from_value(team).unwrap(), &Site::default()).unwrap();
        let with_status = |object: &objects::Object| {
            let mut value = object.json();
            if object.key().kind == Kind::ResourceQuota {
                value["status"] = json!({"hard": value["spec"]["hard"]});
            }
            (object.key(), value)
        };
        let live = objects::of(&team, &Surroundings::fresh(&team)).iter().map(with_status).collect();
        let mut observed = Observed { live, ..Observed::default() };
        let names = CHECKS.iter().filter_map(|(_, _, piece)| match piece {
            Piece::Policy(name) => Some((*name).to_owned()),
            _ => None,
        });
        let roles = mlp_crds::team::Role::ALL.map(|role| rights::role_name(role).to_owned());
        let mut installed = Installed { policies: names.collect(), roles: roles.into() };
        let all = checks(&team, &observed, &installed);
        assert_eq!((percent(&all), all.iter().find(|check| check.missing.is_some())), (100, None));
        observed.live.retain(|key, _| key.kind != Kind::LimitRange);
        let all = checks(&team, &observed, &installed);
        let missing: Vec<_> =
            all.iter().filter_map(|check| Some((check.id, check.missing.clone()?))).collect();
        assert_eq!(missing, [("MLP-LIMITS", "no limit range; declare spec.limitRange".to_owned())]);
        assert!(percent(&all) < 100);
        installed.roles.clear();
        let all = checks(&team, &observed, &installed);
        let of_rights =
            all.iter().find(|check| check.id == "MTB-PL2-BC-OPS-3").and_then(|check| check.missing.clone());
        assert!(
            of_rights.is_some_and(|missing| missing.contains("is not installed; apply deploy/admission"))
        );
    }
}
