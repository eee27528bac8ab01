//! In which order objects are applied: waves, and kinds within a wave, as Argo CD has them.

use super::identity::ObjectId;

/// Kinds that come first within a wave, in order; all others come after, by name of kind.
const KINDS: [&str; 30] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

fn rank(kind: &str) -> usize {
    KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len())
}

/// The objects (by index into `objects`) in stages: all of a stage may be applied one after the other,
/// and must be healthy before the next stage begins. Each entry is identity and wave; `defines` gives the (group, kind) that a
/// CustomResourceDefinition at an index defines.
pub fn stages(
    objects: &[(&ObjectId, i64)],
    defines: impl Fn(usize) -> Option<(String, String)>,
) -> Vec<(i64, Vec<usize>)> {
    let waves: Vec<i64> =
        objects.iter().enumerate().map(|(index, entry)| hoisted(objects, index, *entry, &defines)).collect();
    let mut order: Vec<(i64, usize)> =
        waves.iter().copied().enumerate().map(|(index, wave)| (wave, index)).collect();
    order.sort_by_key(|(wave, index)| {
        let id = objects.get(*index).map(|(id, _)| *id);
        let kind = id.map(|id| id.kind.as_str()).unwrap_or_default();
        let leads = matches!(kind, "Namespace" | "CustomResourceDefinition");
        (*wave, !leads, rank(kind), kind.to_owned(), id.cloned())
    });
    let mut stages: Vec<(i64, Vec<usize>)> = Vec::new();
    for (wave, index) in order {
        match stages.last_mut() {
            Some((last, members)) if *last == wave => members.push(index),
            _ => stages.push((wave, vec![index])),
        }
    }
    stages
}

/// A Namespace or CustomResourceDefinition comes no later than the first object that needs it.
fn hoisted(
    objects: &[(&ObjectId, i64)],
    index: usize,
    (id, wave): (&ObjectId, i64),
    defines: &impl Fn(usize) -> Option<(String, String)>,
) -> i64 {
    let defined = defines(index);
    let needs = |other: &ObjectId| match (id.kind.as_str(), &defined) {
        ("Namespace", _) => other.namespace == id.name,
        (_, Some((group, kind))) => other.group == *group && other.kind == *kind,
        _ => false,
    };
    let dependents = objects.iter().filter(|(other, _)| needs(other)).map(|(_, wave)| *wave);
    dependents.min().map_or(wave, |first| first.min(wave))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(kind: &str, namespace: &str, name: &str) -> ObjectId {
        ObjectId { kind: kind.into(), namespace: namespace.into(), name: name.into(), ..ObjectId::default() }
    }

    fn names(objects: &[(ObjectId, i64)]) -> Vec<(i64, Vec<String>)> {
        let borrowed: Vec<_> = objects.iter().map(|(id, wave)| (id, *wave)).collect();
        let defines = |index: usize| {
            let (id, _) = &objects[index];
            (id.kind == "CustomResourceDefinition").then(|| (String::new(), id.name.clone()))
        };
        let name = |index: &usize| objects[*index].0.name.clone();
        stages(&borrowed, defines)
            .into_iter()
            .map(|(wave, all)| (wave, all.iter().map(name).collect()))
            .collect()
    }

    #[test]
    fn waves_then_kinds_then_names() {
        let objects = [
            (id("Deployment", "n", "web"), 0),
            (id("Thing", "n", "custom"), 0),
            (id("ConfigMap", "n", "b"), 0),
            (id("ConfigMap", "n", "a"), 0),
            (id("Job", "n", "last"), 5),
            (id("Service", "n", "first"), -1),
        ];
        let expected = [(-1, vec!["first"]), (0, vec!["a", "b", "web", "custom"]), (5, vec!["last"])];
        let expected: Vec<_> =
            expected.map(|(wave, all)| (wave, all.into_iter().map(str::to_owned).collect())).into();
        assert_eq!(names(&objects), expected);
    }

    #[test]
    fn a_namespace_and_a_definition_come_before_what_needs_them() {
        let objects = [
            (id("Secret", "n", "s"), -3),
            (id("Namespace", "", "n"), 2),
            (id("Thing", "n", "t"), -3),
            (id("CustomResourceDefinition", "", "Thing"), 0),
        ];
        assert_eq!(names(&objects), [(-3, vec!["n".into(), "Thing".into(), "s".into(), "t".into()])]);
    }

    proptest! {
        #[test]
        fn the_order_of_files_does_not_count(
            shuffled in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
            waves in prop::collection::vec(-2_i64..3, 12),
        ) {
            let kinds = ["Secret", "Deployment", "Thing", "Service"];
            let all: Vec<_> = (0..12).map(|n| (id(kinds[n % 4], "n", &n.to_string()), waves[n])).collect();
            let other: Vec<_> = shuffled.iter().map(|n| all[*n].clone()).collect();
            prop_assert_eq!(names(&all), names(&other));
        }
    }
}
