//! What a team's members may do in the team's namespaces, by role.
//!
//! Two things are the platform's and appear in no role with a writing verb: the quota and the limit
//! range. Network policies, roles and bindings of its own a team may write; those that the platform made
//! are guarded by `deploy/admission/managed.yaml`, and what a team may say in its own by the policies
//! beside it (seed dossier section 1.4: there a team could delete its own isolation). The roles are ClusterRoles,
//! installed with the rules (`deploy/admission/team-roles.yaml`, generated from here) and bound within each
//! namespace. The service's own rights must contain the widest, because Kubernetes lets nobody grant what it does
//! not hold.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mlp_crds::team::Role;

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// API group and resource of the right to open namespaces.
pub const OPENED_GROUP: &str = "mlplatform.dev";
/// See [`OPENED_GROUP`].
pub const OPENED: &str = "teamnamespaces";

/// Name of the RoleBinding to [`OPENER`] in the first namespace of a team whose members may open more.
pub const OPENING: &str = "team-opener";
/// Name of the ClusterRole that lets somebody open and close namespaces of a team.
pub const OPENER: &str = "mlp-team-opener";

/// Name of the RoleBinding in each namespace of a team.
pub const fn binding_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "team-admin",
        Role::Edit => "team-edit",
        Role::View => "team-view",
    }
}

/// Name of the ClusterRole that it binds.
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "mlp-team-admin",
        Role::Edit => "mlp-team-edit",
        Role::View => "mlp-team-view",
    }
}

/// The roles of all teams, as they are installed.
pub fn cluster_roles() -> Vec<ClusterRole> {
    let held = Role::ALL.map(|role| (role_name(role), rules(role)));
    let all = held.into_iter().chain([(OPENER, vec![opening()])]);
    all.map(|(name, rules)| ClusterRole {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        rules: Some(rules),
        aggregation_rule: None,
    })
    .collect()
}

/// The rules of the role, in a fixed order.
pub fn rules(role: Role) -> Vec<PolicyRule> {
    match role {
        Role::Admin => {
            let mut rules = edit();
            rules.push(rule("", &["serviceaccounts"], &WRITE));
            rules.push(rule("", &["serviceaccounts/token"], &["create"]));
            // Kubernetes lets nobody bind a role that holds more than the binder does.
            rules.push(rule("rbac.authorization.k8s.io", &["rolebindings", "roles"], &WRITE));
            rules
        }
        Role::Edit => edit(),
        Role::View => view(),
    }
}

/// What lets somebody open and close namespaces of the team, held in its first one. There is no object of this
/// kind: the service asks the API server for the right before it changes the Team.
fn opening() -> PolicyRule {
    rule(OPENED_GROUP, &[OPENED], &["create", "delete"])
}

fn edit() -> Vec<PolicyRule> {
    let mut rules = vec![
        rule("", &["configmaps", "persistentvolumeclaims", "pods", "secrets", "services"], &WRITE),
        rule("", &["pods/attach", "pods/exec", "pods/portforward"], &["create", "get"]),
        rule("", &["pods/eviction"], &["create"]),
        rule("", &["pods/ephemeralcontainers", "pods/resize"], &["get", "patch", "update"]),
        rule("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"], &WRITE),
        rule("apps", &["deployments/scale", "replicasets/scale", "statefulsets/scale"], &WRITE),
        rule("batch", &["cronjobs", "jobs"], &WRITE),
        rule("autoscaling", &["horizontalpodautoscalers"], &WRITE),
        rule("policy", &["poddisruptionbudgets"], &WRITE),
        rule("networking.k8s.io", &["ingresses", "networkpolicies"], &WRITE),
        rule("gateway.networking.k8s.io", &["grpcroutes", "httproutes", "tlsroutes"], &WRITE),
        rule("cert-manager.io", &["certificates"], &WRITE),
        rule("snapshot.storage.k8s.io", &["volumesnapshots"], &WRITE),
        rule("resource.k8s.io", &["resourceclaims", "resourceclaimtemplates"], &WRITE),
        rule("monitoring.coreos.com", &["podmonitors", "prometheusrules", "servicemonitors"], &WRITE),
        rule("argoproj.io", &["applications", "applicationsets"], &WRITE),
        rule("mlplatform.dev", &["caches", "databases"], &WRITE),
    ];
    rules.extend(platform_owned());
    rules
}

fn view() -> Vec<PolicyRule> {
    let mut rules = vec![
        rule("", &["configmaps", "persistentvolumeclaims", "pods", "services"], &READ),
        rule("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"], &READ),
        rule("batch", &["cronjobs", "jobs"], &READ),
        rule("autoscaling", &["horizontalpodautoscalers"], &READ),
        rule("policy", &["poddisruptionbudgets"], &READ),
        rule("networking.k8s.io", &["ingresses", "networkpolicies"], &READ),
        rule("gateway.networking.k8s.io", &["grpcroutes", "httproutes", "tlsroutes"], &READ),
        rule("cert-manager.io", &["certificates"], &READ),
        rule("snapshot.storage.k8s.io", &["volumesnapshots"], &READ),
        rule("resource.k8s.io", &["resourceclaims", "resourceclaimtemplates"], &READ),
        rule("monitoring.coreos.com", &["podmonitors", "prometheusrules", "servicemonitors"], &READ),
        rule("argoproj.io", &["applications", "applicationsets"], &READ),
        rule("mlplatform.dev", &["caches", "databases"], &READ),
    ];
    rules.extend(platform_owned());
    rules
}

/// What everybody in a team may read and nobody in it may write.
fn platform_owned() -> Vec<PolicyRule> {
    vec![
        rule(
            "",
            &[
                "endpoints",
                "events",
                "limitranges",
                "pods/log",
                "replicationcontrollers",
                "resourcequotas",
                "serviceaccounts",
            ],
            &READ,
        ),
        rule("discovery.k8s.io", &["endpointslices"], &READ),
        rule("events.k8s.io", &["events"], &READ),
        rule("rbac.authorization.k8s.io", &["rolebindings", "roles"], &READ),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(role: Role, group: &str, resource: &str, verb: &str) -> bool {
        let holds = |texts: &Option<Vec<String>>, wanted: &str| {
            texts.as_ref().is_some_and(|texts| texts.iter().any(|text| text == wanted || text == "*"))
        };
        rules(role).iter().any(|rule| {
            holds(&rule.api_groups, group)
                && holds(&rule.resources, resource)
                && rule.verbs.iter().any(|v| v == verb || v == "*")
        })
    }

    #[test]
    fn no_role_can_touch_the_isolation() {
        let guarded = [
            ("", "resourcequotas"),
            ("", "limitranges"),
            ("", "namespaces"),
            ("mlplatform.dev", "teams"),
            ("mlplatform.dev", "isolationexemptions"),
            ("mlplatform.dev", "policyexemptions"),
            ("discovery.k8s.io", "endpointslices"),
            ("", "pods/binding"),
            ("", "endpoints"),
        ];
        for role in Role::ALL {
            for (group, resource) in guarded {
                for verb in [
                    "create",
                    "update",
                    "patch",
                    "delete",
                    "deletecollection",
                    "bind",
                    "escalate",
                    "impersonate",
                ] {
                    assert!(!allows(role, group, resource, verb), "{role:?} may {verb} {resource}");
                }
            }
        }
    }

    #[test]
    fn no_role_leads_further() {
        for role in Role::ALL {
            for rule in rules(role) {
                let leads = ["*", "bind", "escalate", "impersonate"];
                assert!(rule.verbs.iter().all(|verb| !leads.contains(&verb.as_str())), "{role:?}: {rule:?}");
                assert!(
                    rule.resources.iter().flatten().all(|name| !name.contains('*')),
                    "{role:?}: {rule:?}"
                );
            }
        }
    }

    #[test]
    fn roles_differ_as_their_names_say() {
        assert!(allows(Role::Admin, "", "serviceaccounts", "create"));
        assert!(!allows(Role::Edit, "", "serviceaccounts", "create"));
        assert!(!allows(Role::Edit, "rbac.authorization.k8s.io", "rolebindings", "create"));
        assert!(!allows(Role::Edit, "rbac.authorization.k8s.io", "roles", "create"));
        assert!(allows(Role::Edit, "apps", "deployments", "create"));
        assert!(allows(Role::Edit, "mlplatform.dev", "databases", "create"));
        assert!(!allows(Role::View, "", "secrets", "get"));
        assert!(allows(Role::View, "", "resourcequotas", "get"));
        for rule in rules(Role::View) {
            assert!(rule.verbs.iter().all(|verb| READ.contains(&verb.as_str())));
        }
    }
}
