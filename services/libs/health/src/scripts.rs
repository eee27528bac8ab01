//! The scripts of an `argocd-cm`, where and as Argo CD has them: `resource.customizations.health.<group>_<kind>`,
//! `resource.customizations.useOpenLibs.<group>_<kind>`, and all of them in one `resource.customizations`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{Health, Level, Script, rules};

const HEALTH: &str = "resource.customizations.health.";
const OPEN: &str = "resource.customizations.useOpenLibs.";
const ALL: &str = "resource.customizations";

/// Scripts by the kind that they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// By `group/Kind`, or `Kind` in the core group; `*` stands for any text.
    by_kind: BTreeMap<String, Script>,
}

/// One entry of `resource.customizations`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    #[serde(rename = "health.lua")]
    health: Option<String>,
    #[serde(rename = "health.lua.useOpenLibs")]
    open: bool,
}

impl Scripts {
    /// Reads the data of an `argocd-cm`; with it, what of it cannot be read.
    pub fn read(data: &BTreeMap<String, String>) -> (Self, Option<String>) {
        let mut scripts = Self::default();
        let mut problem = None;
        if let Some(text) = data.get(ALL) {
            match serde_saphyr::from_str::<BTreeMap<String, Entry>>(text) {
                Ok(entries) => scripts.by_kind.extend(entries.into_iter().filter_map(|(kind, entry)| {
                    Some((kind, Script { text: entry.health?, open_libraries: entry.open }))
                })),
                Err(error) => {
                    let said = error.to_string();
                    problem = Some(format!("argocd-cm, {ALL}: {}", said.lines().next().unwrap_or_default()));
                }
            }
        }
        for (key, text) in data {
            let Some(kind) = key.strip_prefix(HEALTH) else { continue };
            let open = data.get(&format!("{OPEN}{kind}")).is_some_and(|text| text == "true");
            // `group_Kind`; in the core group `Kind` alone.
            let kind = kind
                .rsplit_once('_')
                .map_or_else(|| kind.to_owned(), |(group, kind)| format!("{group}/{kind}"));
            let kind = kind.trim_start_matches('/').to_owned();
            scripts.by_kind.insert(kind, Script { text: text.clone(), open_libraries: open });
        }
        (scripts, problem)
    }

    /// The script for a kind: the one that names it, else the first of those with `*` that fit.
    pub fn find(&self, group: &str, kind: &str) -> Option<&Script> {
        let key = if group.is_empty() { kind.to_owned() } else { format!("{group}/{kind}") };
        let fits = |(pattern, _): &(&String, &Script)| pattern.contains('*') && is_like(pattern, &key);
        self.by_kind.get(&key).or_else(|| self.by_kind.iter().find(fits).map(|(_, script)| script))
    }

    /// Health of a live object: the script for its kind, else the built-in rule; none where its kind has none.
    pub fn of(&self, group: &str, kind: &str, live: &Value) -> Option<Health> {
        let script = self.find(group, kind).filter(|_| !rules::decides_before_scripts(live));
        match script.map(|script| script.assess(live)) {
            Some(Ok(health)) => Some(health),
            Some(Err(error)) => Some(Health::new(Level::Unknown, error.to_string())),
            None => rules::of(group, kind, live),
        }
    }
}

/// Whether a text is like a pattern in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: &[(&str, &str)]) -> (Scripts, Option<String>) {
        Scripts::read(&data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn each_form_of_argo_cd_is_read() {
        let legacy = "cert-manager.io/Issuer:\n  health.lua: return {status = 'Suspended'}\n  health.lua.useOpenLibs: true\n\
            '*.crossplane.io/*':\n  health.lua: return {status = 'Progressing'}\nother/Kind: {ignoreDifferences: x}\n";
        let (scripts, problem) = read(&[
            ("resource.customizations", legacy),
            ("resource.customizations.health.argoproj.io_Rollout", "return {status = 'Degraded'}"),
            ("resource.customizations.health.Pod", "return {status = 'Healthy'}"),
            ("resource.customizations.useOpenLibs.argoproj.io_Rollout", "true"),
            ("timeout.reconciliation", "120s"),
        ]);
        assert_eq!(problem, None);
        let level = |group, kind| scripts.of(group, kind, &json!({})).map(|health| health.level);
        assert_eq!(level("argoproj.io", "Rollout"), Some(Level::Degraded));
        assert_eq!(level("cert-manager.io", "Issuer"), Some(Level::Suspended));
        assert_eq!(level("rds.crossplane.io", "Instance"), Some(Level::Progressing));
        assert_eq!(level("", "Pod"), Some(Level::Healthy), "before the built-in rule");
        assert_eq!(level("", "ConfigMap"), None);
        assert!(scripts.find("argoproj.io", "Rollout").unwrap().open_libraries);
        assert!(scripts.find("other", "Kind").is_none());
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_rest_counts() {
        let (scripts, problem) =
            read(&[("resource.customizations", "{"), ("resource.customizations.health.Pod", "return {")]);
        assert!(problem.unwrap().starts_with("argocd-cm, resource.customizations: "));
        let health = scripts.of("", "Pod", &json!({})).unwrap();
        assert_eq!(health.level, Level::Unknown);
        assert!(health.message.contains("the health script failed"), "{}", health.message);
        let leaving =
            scripts.of("", "Pod", &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        assert_eq!(leaving.unwrap().level, Level::Progressing, "an object on its way out comes first");
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, like) in [
            ("*.aws.io/*", "rds.aws.io/DB", true),
            ("*.aws.io/DB", "rds.aws.io/DBX", false),
            ("*/DB", "a/DB", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("a", "a", true),
            ("*", "anything", true),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }
}
