//! Rules that manifests are held against before anything of them is applied: a sync that the API server would stop in the middle, or that
//! would put what must not be into a cluster, does not begin.
//!
//! How much is asked for follows the tier that team-isolation gives the destination namespace (seed dossier section 7). Rules that admission
//! has too are as strict here as the namespace's annotations say, and are lifted by the same `IsolationExemption`; the others are listed in
//! [`OWN`] and are lifted by a `PolicyExemption`. A namespace without a tier is nobody's, or the platform's: it has no rules.

mod pods;

use std::collections::BTreeMap;

use jiff::Timestamp;
use mlp_crds::PolicyExemptionSpec;
use serde_json::Value;

use super::identity::ObjectId;

/// Label of a namespace with the tier of its rules.
const TIER: &str = "mlplatform.dev/policy-tier";
/// Domain of a namespace's lists, and of the ends of its exemptions.
const LISTS: &str = "isolation.mlplatform.dev";
const EXEMPT: &str = "exempt.mlplatform.dev";
/// Tiers, in growing strictness.
const TIERS: [&str; 4] = ["relaxed", "moderate", "strict", "strictest"];
/// Findings that a condition names.
const NAMED: usize = 5;

/// What becomes of a sync of an object that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, and the Application says so.
    Audit,
    /// It does not begin.
    Deny,
}

use Verdict::{Audit, Deny};

/// Rules of this service alone, with their verdict from relaxed to strictest; none where the rule is not asked.
pub const OWN: [(&str, [Option<Verdict>; 4]); 10] = [
    ("privileged", [Some(Audit), Some(Deny), Some(Deny), Some(Deny)]),
    ("run-as-root", [None, Some(Audit), Some(Deny), Some(Deny)]),
    ("privilege-escalation", [None, Some(Audit), Some(Deny), Some(Deny)]),
    ("seccomp", [None, Some(Audit), Some(Deny), Some(Deny)]),
    ("clear-text-secret", [Some(Audit), Some(Audit), Some(Deny), Some(Deny)]),
    ("clear-text-env", [Some(Audit), Some(Audit), Some(Audit), Some(Audit)]),
    ("default-account", [None, None, Some(Audit), Some(Audit)]),
    ("single-replica", [None, None, Some(Audit), Some(Audit)]),
    ("no-disruption-budget", [None, None, Some(Audit), Some(Audit)]),
    ("claim-class", [None, Some(Audit), Some(Audit), Some(Audit)]),
];

/// Rules that admission has too.
pub const SHARED: [&str; 7] =
    ["image-registry", "image-tag", "image-pull-always", "resources", "job-ttl", "read-only-root", "probes"];

/// One object that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What becomes of the sync.
    pub verdict: Verdict,
    /// The object.
    pub id: ObjectId,
    /// Path of its file, or what it was rendered by.
    pub file: String,
    /// Line where it starts, from 1.
    pub line: u64,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Finding {
    /// Whether a sync does not begin for it: what is live and breaks the same rule already is left as it is.
    pub fn is_barring(&self, standing: &[Self]) -> bool {
        let stands = standing.iter().any(|one| one.rule == self.rule && one.id.same_object(&self.id));
        self.verdict == Deny && !stands
    }
}

/// An object as it would be applied, and where it is written.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Identity, namespace filled in.
    pub id: &'a ObjectId,
    /// The object.
    pub object: &'a Value,
    /// Path of its file.
    pub file: &'a str,
    /// Line where it starts.
    pub line: u64,
}

/// What a namespace asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    verdicts: BTreeMap<&'static str, Verdict>,
    registries: Vec<String>,
}

impl Demands {
    /// Reads labels and annotations of a namespace; none where it has no tier.
    pub fn of(
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Option<Self> {
        let tier = labels.get(TIER)?;
        // A word of a newer version is no reason to ask for less.
        let place = TIERS.iter().position(|name| name == tier).unwrap_or(TIERS.len() - 1);
        let list = |key: &str| -> Vec<String> {
            let text = annotations.get(&format!("{LISTS}/{key}")).map(String::as_str).unwrap_or_default();
            text.split(',').filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
        };
        let is_exempt = |rule: &str| {
            let end =
                annotations.get(&format!("{EXEMPT}/{rule}")).and_then(|end| end.parse::<Timestamp>().ok());
            end.is_some_and(|end| now < end)
        };
        let (denied, audited) = (list("denied-rules"), list("audited-rules"));
        let mut verdicts = BTreeMap::new();
        for rule in SHARED.into_iter().filter(|rule| !is_exempt(rule)) {
            let holds = |rules: &[String]| rules.iter().any(|one| one == rule);
            let verdict = if holds(&denied) { Some(Deny) } else { holds(&audited).then_some(Audit) };
            // What a manifest leaves out of these the namespace's LimitRange may fill in; admission sees the result.
            let verdict = if rule == "resources" { verdict.map(|_| Audit) } else { verdict };
            verdicts.extend(verdict.map(|verdict| (rule, verdict)));
        }
        // A team whose policy only audits is refused nothing by these either.
        let only_audits = denied.is_empty();
        for (rule, tiers) in OWN {
            let verdict = tiers.get(place).copied().flatten();
            verdicts.extend(verdict.map(|verdict| (rule, if only_audits { Audit } else { verdict })));
        }
        Some(Self { verdicts, registries: list("registries") })
    }
}

/// Whether an exemption lifts a rule for an Application now.
fn lifts(
    exemption: &PolicyExemptionSpec,
    (namespace, name): (&str, &str),
    rule: &str,
    now: Timestamp,
) -> bool {
    let is_meant = exemption.namespace == namespace
        && (exemption.applications.is_empty() || exemption.applications.iter().any(|one| one == name));
    let lasts = exemption.expires.parse::<Timestamp>().is_ok_and(|end| now < end);
    is_meant && lasts && exemption.rules.iter().any(|one| one == rule)
}

/// Rules that an exemption names and cannot lift, with what to do instead.
pub fn misnamed(exemption: &PolicyExemptionSpec) -> Option<String> {
    exemption.rules.iter().enumerate().find_map(|(place, rule)| {
        let is_own = OWN.iter().any(|(own, _)| own == rule);
        let field = format!("spec.rules[{place}]");
        match is_own {
            true => None,
            false if SHARED.contains(&rule.as_str()) => {
                Some(format!("{field}: the API server asks `{rule}` too; an IsolationExemption lifts both"))
            }
            false => {
                let known: Vec<&str> = OWN.iter().map(|(own, _)| *own).collect();
                Some(format!("{field}: there is no rule `{rule}`; there are {}", known.join(", ")))
            }
        }
    })
}

/// Who asks: the Application, and what is lifted for whom.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Namespace and name of the Application.
    pub application: (&'a str, &'a str),
    /// All exemptions.
    pub exemptions: &'a [&'a PolicyExemptionSpec],
    /// Now.
    pub now: Timestamp,
}

/// Holds objects against what their namespaces ask for, the strictest findings first.
pub fn judge(
    asker: Asker<'_>,
    objects: &[Judged<'_>],
    demands: impl Fn(&str) -> Option<Demands>,
) -> Vec<Finding> {
    let mut known: BTreeMap<&str, Option<Demands>> = BTreeMap::new();
    let mut findings = Vec::new();
    for judged in objects {
        let namespace = judged.id.namespace.as_str();
        let demands = known.entry(namespace).or_insert_with(|| demands(namespace));
        let Some(demands) = demands else { continue };
        let mut broken = pods::broken(judged, &demands.registries);
        broken.extend(beside(judged, objects));
        for (rule, message) in broken {
            let Some(verdict) = demands.verdicts.get(rule).copied() else { continue };
            let is_lifted = asker.exemptions.iter().any(|one| lifts(one, asker.application, rule, asker.now));
            let (id, file) = (judged.id.clone(), judged.file.to_owned());
            if !is_lifted {
                findings.push(Finding { rule, verdict, id, file, line: judged.line, message });
            }
        }
    }
    findings.sort_by_key(|finding| finding.verdict == Audit);
    findings
}

/// What is wrong with an object that holds no pods, or for lack of another beside it.
fn beside(judged: &Judged<'_>, all: &[Judged<'_>]) -> Vec<(&'static str, String)> {
    let object = judged.object;
    let mut broken = Vec::new();
    match (judged.id.group.as_str(), judged.id.kind.as_str()) {
        ("", "Secret") if has_values(object) => broken.push((
            "clear-text-secret",
            "whoever reads the repository reads its values; keep them elsewhere, and commit a SealedSecret or an ExternalSecret".to_owned(),
        )),
        ("", "PersistentVolumeClaim") if !is_set(object, "/spec/storageClassName") => broken.push((
            "claim-class",
            "spec.storageClassName is not set: which storage it gets depends on the cluster".to_owned(),
        )),
        ("apps", kind @ ("Deployment" | "StatefulSet")) => {
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            let is_scaled = all.iter().any(|one| scales(one, judged));
            if replicas == 1 && !is_scaled {
                let words = format!("one replica: each change of a node takes the {kind} away; set spec.replicas to 2 or more, or add a HorizontalPodAutoscaler");
                broken.push(("single-replica", words));
            }
            if (replicas > 1 || is_scaled) && !all.iter().any(|one| guards(one, judged)) {
                let words = "no PodDisruptionBudget of the same source selects its pods: a drain may take all of them at once; add one";
                broken.push(("no-disruption-budget", words.to_owned()));
            }
        }
        _ => {}
    }
    broken
}

/// Whether a field says anything: `null` does not.
fn is_set(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).is_some_and(|value| !value.is_null())
}

fn has_values(secret: &Value) -> bool {
    let fields = ["data", "stringData"].into_iter().filter_map(|field| secret.get(field));
    let says = |value: &Value| !value.is_null() && value.as_str() != Some("");
    fields.into_iter().any(|values| match values.as_object() {
        Some(values) => values.values().any(says),
        None => says(values),
    })
}

fn scales(one: &Judged<'_>, workload: &Judged<'_>) -> bool {
    let target =
        |field: &str| one.object.pointer(&format!("/spec/scaleTargetRef/{field}")).and_then(Value::as_str);
    one.id.kind == "HorizontalPodAutoscaler"
        && one.id.namespace == workload.id.namespace
        && target("kind") == Some(&workload.id.kind)
        && target("name") == Some(&workload.id.name)
}

/// Whether a budget selects a workload's pods by labels; one that selects by expressions is taken to.
fn guards(one: &Judged<'_>, workload: &Judged<'_>) -> bool {
    if one.id.kind != "PodDisruptionBudget" || one.id.namespace != workload.id.namespace {
        return false;
    }
    let labels = workload.object.pointer("/spec/template/metadata/labels").and_then(Value::as_object);
    let wanted = one.object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    wanted
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value)))
}

/// What a person is told of findings, the first of them by name.
pub fn words(findings: &[&Finding]) -> String {
    let one = |finding: &&Finding| {
        let Finding { rule, id, file, line, message, .. } = finding;
        format!("{rule}: {id} ({file}:{line}): {message}")
    };
    let mut named: Vec<String> = findings.iter().take(NAMED).map(one).collect();
    if let Some(more) = findings.len().checked_sub(NAMED).filter(|more| *more > 0) {
        named.push(format!("and {more} more; `mlp app findings` lists them"));
    }
    named.join("; ")
}

#[cfg(test)]
mod tests;
