//! An Application's spec, validated: what we act on, and a refusal by name of what we do not.

mod source;

pub use source::{overridden, overriding, wrong_address};

use std::time::Duration;

use mlp_crds::argocd::{ApplicationSpec, Automated, Source, SyncPolicy};
use serde_json::{Map, Value};

use super::consent::Consent;
use super::glob::Glob;
use super::ignore::{self, IgnoreRule};
use super::tool::Tool;
use super::{duration, helm, kustomize, revision};

/// Address of the cluster that the service itself runs in.
pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
/// Its name.
pub const IN_CLUSTER_NAME: &str = "in-cluster";
/// Argo CD's default number of history entries.
const HISTORY: i64 = 10;
/// The most history entries kept: the status must stay small.
const HISTORY_MAX: i64 = 100;

/// The option that says whether objects go with their Application.
const DELETE: &str = "Delete=";
/// The option by which what does not count is not written either.
const RESPECT: &str = "RespectIgnoreDifferences=true";
/// The option by which what is live is replaced, not added to.
const REPLACE: &str = "Replace=true";
/// The option by which fields that other tools declared stay theirs.
const LEFT_AS_IS: &str = "ClientSideApplyMigration=false";

/// What one Application wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Where manifests come from: one place, or several.
    pub origins: Vec<Origin>,
    /// Whether the spec has `sources`, which the status then names in place of `source`.
    pub several: bool,
    /// Namespace for objects that name none.
    pub namespace: String,
    /// Name of the AppProject.
    pub project: String,
    /// Automated sync, where it is on.
    pub automated: Option<AutomatedSync>,
    /// How pruning deletes.
    pub pruning: Pruning,
    /// Differences that do not count.
    pub ignored: Vec<IgnoreRule>,
    /// Whether a sync leaves them as they are, too (`RespectIgnoreDifferences`).
    pub respects_ignored: bool,
    /// Whether what is live is replaced by what git says, where its object does not say otherwise (`Replace`).
    pub replaces: bool,
    /// The options as they are written, `Name=value` each.
    pub options: Vec<String>,
    /// Whether what other tools declared of an object becomes ours (`ClientSideApplyMigration`).
    pub takes_over: bool,
    /// How failed syncs are retried.
    pub retry: RetryRule,
    /// Entries of history kept.
    pub history: usize,
}

/// One source, as the spec has it and as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Path of its field: `spec.source` or `spec.sources[1]`.
    pub field: String,
    /// As the spec has it, for status and history.
    pub source: Source,
    /// Repository address: `file://`, `http://` or `https://`, without credentials.
    pub repository: String,
    /// Folder in the repository; empty for its root.
    pub path: String,
    /// Branch, tag, commit or `HEAD`.
    pub revision: String,
    /// What makes the folder into manifests.
    pub rendering: Rendering,
}

impl Origin {
    /// The name by which value files of others refer to it.
    pub fn name(&self) -> Option<&str> {
        self.source.reference.as_deref().filter(|name| !name.is_empty())
    }

    /// Whether it has manifests: one that others refer to has them where it names a path.
    pub fn has_manifests(&self) -> bool {
        self.name().is_none() || self.source.path.is_some()
    }
}

/// Refusals in one text.
pub fn words(refusals: &[Refusal]) -> String {
    let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    all.join("; ")
}

impl Request {
    /// Address of each source's repository, with its field.
    pub fn repositories(&self) -> Vec<(String, &str)> {
        let named = |origin: &'_ Origin| format!("{}.repoURL", origin.field);
        self.origins.iter().map(|origin| (named(origin), origin.repository.as_str())).collect()
    }

    /// The revisions that the spec asks for, as one text.
    pub fn revision(&self) -> String {
        let all: Vec<String> = self.origins.iter().map(|origin| origin.revision.clone()).collect();
        revision::joined("", &all)
    }

    /// The revision of each source: of `pinned` where that names one, else the spec's.
    pub fn revisions(&self, pinned: Option<&str>) -> Vec<String> {
        let (one, several) = pinned.map(|text| revision::apart(text, self.several)).unwrap_or_default();
        let asked = if self.several { several } else { vec![one] };
        let fits = asked.len() == self.origins.len();
        let places = self.origins.iter().enumerate();
        let all = places.map(|(place, origin)| {
            let asked = asked.get(place).filter(|text| fits && !text.is_empty());
            asked.unwrap_or(&origin.revision).clone()
        });
        all.collect()
    }

    /// `source` and `sources` as a status names them.
    pub fn sources(&self) -> (Option<Source>, Vec<Source>) {
        let all = self.origins.iter().map(|origin| origin.source.clone());
        if self.several { (None, all.collect()) } else { (all.into_iter().next(), Vec::new()) }
    }
}

/// What makes a folder into manifests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendering {
    /// The tool, where the spec names one; else the folder's own files do.
    pub tool: Option<Tool>,
    /// Which files of the folder count, where they are the manifests.
    pub files: FileRules,
    /// For `kustomize build`.
    pub kustomize: kustomize::Options,
    /// For `helm template`.
    pub helm: helm::Options,
}

/// Which files of a folder count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRules {
    /// Whether folders below count.
    pub recurse: bool,
    /// Only these, where given.
    pub include: Option<Glob>,
    /// Not these; counts after `include`.
    pub exclude: Option<Glob>,
}

impl FileRules {
    /// Whether a file counts; the path is relative to the source's folder.
    pub fn takes(&self, path: &str) -> bool {
        let included = self.include.as_ref().is_none_or(|glob| glob.matches(path));
        let excluded = self.exclude.as_ref().is_some_and(|glob| glob.matches(path));
        // They are about the source, whichever Application's it is.
        let overrides = path.starts_with(source::OVERRIDING);
        super::manifest::is_manifest(path) && !overrides && included && !excluded
    }
}

/// Automated sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AutomatedSync {
    /// Whether objects that left git are deleted.
    pub prune: bool,
    /// Whether changes made beside git are undone.
    pub self_heal: bool,
    /// Whether a sync may delete everything.
    pub allow_empty: bool,
}

/// How pruning deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruning {
    /// `Prune` at the Application, for all that left git.
    pub consent: Consent,
    /// What happens to dependents.
    pub propagation: Propagation,
}

/// What a deletion does with dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They go first.
    #[default]
    Foreground,
    /// They go later.
    Background,
    /// They stay.
    Orphan,
}

/// How failed syncs are retried: first × factorⁿ, at most the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRule {
    /// Retries after the first attempt; none means without end.
    pub limit: Option<u32>,
    /// First wait.
    pub first: Duration,
    /// Growth.
    pub factor: u32,
    /// Longest wait.
    pub longest: Duration,
}

impl Default for RetryRule {
    /// Argo CD's defaults for automated syncs.
    fn default() -> Self {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(180));
        Self { limit: Some(5), first, factor: 2, longest }
    }
}

impl RetryRule {
    /// The wait before retry number `retry`, from 0.
    pub fn wait(&self, retry: u32) -> Duration {
        let grown = self.factor.checked_pow(retry).and_then(|factor| self.first.checked_mul(factor));
        grown.unwrap_or(self.longest).min(self.longest)
    }
}

/// One field of the spec that is wrong or not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Path of the field, for example `spec.source.helm`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.field, self.message)
    }
}

/// Collects refusals, so that a person sees all of them at once.
#[derive(Default)]
struct Check(Vec<Refusal>);

impl Check {
    fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Refusal { field: field.into(), message: message.into() });
    }

    fn unsupported(&mut self, field: &str, present: bool) {
        if present {
            self.refuse(field, "is not supported; remove it");
        }
    }

    fn rest(&mut self, parent: &str, rest: &Map<String, Value>, known: &[&str]) {
        for key in rest.keys().filter(|key| !known.contains(&key.as_str())) {
            self.unsupported(&format!("{parent}.{key}"), true);
        }
    }
}

/// Reads a spec.
///
/// # Errors
/// Every [`Refusal`], in the order of the spec.
pub fn validate(spec: &ApplicationSpec) -> Result<Request, Vec<Refusal>> {
    let mut check = Check::default();
    check.rest("spec", &spec.rest, &["info"]);
    if spec.project.is_empty() {
        check.refuse("spec.project", "is empty; name an AppProject, or write `default`");
    }
    let namespace = destination(spec, &mut check);
    let origins = source::origins(spec, &mut check);
    let policy = spec.sync_policy.clone().unwrap_or_default();
    check.rest("spec.syncPolicy", &policy.rest, &[]);
    check
        .unsupported("spec.syncPolicy.managedNamespaceMetadata", policy.managed_namespace_metadata.is_some());
    let pruning = pruning(&policy.sync_options, &mut check);
    let has = |option: &str| policy.sync_options.iter().any(|given| given == option);
    let retry = retry(&policy, &mut check);
    let ignored = ignore::read(&spec.ignore_differences).unwrap_or_else(|refusals| {
        check.0.extend(refusals);
        Vec::new()
    });
    let history = spec.revision_history_limit.unwrap_or(HISTORY).clamp(0, HISTORY_MAX);
    if !check.0.is_empty() {
        return Err(check.0);
    }
    Ok(Request {
        origins,
        several: !spec.sources.is_empty(),
        namespace,
        project: spec.project.clone(),
        automated: spec.automated().map(automated),
        pruning,
        ignored,
        respects_ignored: has(RESPECT),
        replaces: has(REPLACE),
        takes_over: !has(LEFT_AS_IS),
        options: policy.sync_options.clone(),
        retry,
        history: usize::try_from(history).unwrap_or_default(),
    })
}

fn automated(block: &Automated) -> AutomatedSync {
    AutomatedSync {
        prune: block.prune.unwrap_or_default(),
        self_heal: block.self_heal.unwrap_or_default(),
        allow_empty: block.allow_empty.unwrap_or_default(),
    }
}

fn destination(spec: &ApplicationSpec, check: &mut Check) -> String {
    let destination = &spec.destination;
    if let Some(server) = destination.server.as_deref().filter(|text| *text != IN_CLUSTER_SERVER) {
        let message = format!("`{server}` is another cluster; write {IN_CLUSTER_SERVER}");
        check.refuse("spec.destination.server", message);
    }
    if let Some(name) = destination.name.as_deref().filter(|text| *text != IN_CLUSTER_NAME) {
        let message = format!("`{name}` is another cluster; write `{IN_CLUSTER_NAME}`");
        check.refuse("spec.destination.name", message);
    }
    let namespace = destination.namespace.clone().unwrap_or_default();
    if namespace.is_empty() {
        check.refuse("spec.destination.namespace", "is missing; name a namespace of a team");
    }
    namespace
}

fn pruning(options: &[String], check: &mut Check) -> Pruning {
    let mut pruning = Pruning { consent: Consent::Given, propagation: Propagation::default() };
    for option in options {
        if let Some(consent) = option.strip_prefix("Prune=").and_then(Consent::read) {
            pruning.consent = pruning.consent.max(consent);
            continue;
        }
        // Read where the Application goes: then its spec need not be right.
        if option.strip_prefix(DELETE).is_some_and(|text| Consent::read(text).is_some()) {
            continue;
        }
        match option.as_str() {
            // These say what we do anyway: the namespace is team-isolation's to create and is waited
            // for, manifests are applied on the server, what is in sync is not written, deletions
            // come last, an object of another application is never taken.
            "CreateNamespace=true"
            | "CreateNamespace=false"
            | "ServerSideApply=true"
            | "ServerSideApply=false"
            | "ApplyOutOfSyncOnly=true"
            | "ApplyOutOfSyncOnly=false"
            | "PruneLast=true"
            | "PruneLast=false"
            | "FailOnSharedResource=true"
            | "SkipDryRunOnMissingResource=true"
            | "SkipDryRunOnMissingResource=false"
            | REPLACE
            | "Replace=false"
            | "Validate=true"
            | "ClientSideApplyMigration=true"
            | LEFT_AS_IS
            | RESPECT
            | "RespectIgnoreDifferences=false" => {}
            "PrunePropagationPolicy=foreground" => pruning.propagation = Propagation::Foreground,
            "PrunePropagationPolicy=background" => pruning.propagation = Propagation::Background,
            "PrunePropagationPolicy=orphan" => pruning.propagation = Propagation::Orphan,
            other => {
                check.refuse(
                    "spec.syncPolicy.syncOptions",
                    format!("has `{other}`, which is not supported; remove it"),
                );
            }
        }
    }
    pruning
}

/// What `Delete` at the Application says of all its objects; an option that cannot be read keeps them.
pub fn deletion(options: &[String]) -> Consent {
    let said = options.iter().filter_map(|option| option.strip_prefix(DELETE));
    said.map(|text| Consent::read(text).unwrap_or(Consent::Withheld)).max().unwrap_or_default()
}

fn retry(policy: &SyncPolicy, check: &mut Check) -> RetryRule {
    let mut rule = RetryRule::default();
    let Some(retry) = &policy.retry else { return rule };
    check.rest("spec.syncPolicy.retry", &retry.rest, &[]);
    let limit = retry.limit.unwrap_or_default();
    rule.limit = (limit >= 0).then(|| u32::try_from(limit).unwrap_or(u32::MAX));
    let backoff = retry.backoff.clone().unwrap_or_default();
    for (field, text, target) in [
        ("duration", &backoff.duration, &mut rule.first),
        ("maxDuration", &backoff.max_duration, &mut rule.longest),
    ] {
        match text.as_deref().map(duration::parse) {
            Some(Some(read)) => *target = read,
            Some(None) => check.refuse(
                format!("spec.syncPolicy.retry.backoff.{field}"),
                "is no duration; write for example 5s or 3m",
            ),
            None => {}
        }
    }
    rule.factor = backoff.factor.and_then(|factor| u32::try_from(factor).ok()).unwrap_or(2).max(1);
    rule
}

#[cfg(test)]
mod tests;
