//! What annotations of an object in git ask for.

use serde_json::Value;

use super::consent::Consent;
use super::hook::{HELM_WEIGHT, Hook};

/// Comma list of options of one object.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Wave of one object.
const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Helm's word for an object that stays: often one that holds data.
const HELM_KEEP: &str = "helm.sh/resource-policy";
/// Comma list of what counts in the comparison of one object.
const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";

/// Options of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Wave; lower ones are applied and healthy first.
    pub wave: i64,
    /// Whether the object may be deleted once it left git.
    pub prune: Consent,
    /// Whether the object is deleted with its Application.
    pub delete: Consent,
    /// Whether it counts as no difference once it left git.
    pub ignores_extraneous: bool,
    /// Whether it is deleted and made anew where the API server does not let it become what git wants.
    pub force: bool,
    /// Whether what is live is replaced by what git says, fields of others and all; none where the Application decides.
    pub replace: Option<bool>,
    /// When it runs, where it is a hook.
    pub hook: Option<Hook>,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            wave: 0,
            prune: Consent::Given,
            delete: Consent::Given,
            ignores_extraneous: false,
            force: false,
            replace: None,
            hook: None,
        }
    }
}

/// Why an annotation was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The wave is no whole number.
    #[error("annotation `{SYNC_WAVE}` is `{0}`; write a whole number in quotes")]
    Wave(String),
    /// A word of a hook's annotation is none that we know.
    #[error("annotation `{0}` has `{1}`, which is not supported; remove it")]
    Hook(&'static str, String),
    /// One option of a list is one that we do not act on.
    #[error("annotation `{0}` has `{1}`, which is not supported; remove it")]
    Option(&'static str, String),
}

impl ObjectOptions {
    /// Reads the annotations of an object, live or from git.
    ///
    /// # Errors
    /// [`OptionError`] for what we would otherwise ignore.
    pub fn read(object: &Value) -> Result<Self, OptionError> {
        let annotation =
            |key: &str| object.pointer("/metadata/annotations").and_then(|all| all.get(key)?.as_str());
        let hook = Hook::read(annotation).map_err(|(key, word)| OptionError::Hook(key, word))?;
        let mut options = Self { hook, ..Self::default() };
        let weight = annotation(HELM_WEIGHT).filter(|_| options.hook.is_some());
        if let Some(text) = annotation(SYNC_WAVE).or(weight) {
            options.wave = text.trim().parse().map_err(|_| OptionError::Wave(text.to_owned()))?;
        }
        if annotation(HELM_KEEP).is_some_and(|text| text.trim() == "keep") {
            (options.prune, options.delete) = (Consent::Withheld, Consent::Withheld);
        }
        let list = |key: &str| annotation(key).unwrap_or_default().split(',').map(str::trim);
        for option in list(SYNC_OPTIONS) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let consent = Consent::read(value);
            match (name, value, consent) {
                // We always apply on the server, which refuses fields that it does not know, and prune last.
                ("PruneLast" | "ServerSideApply" | "SkipDryRunOnMissingResource", "true" | "false", _) => {}
                ("", ..) | ("Force", "false", _) | ("Validate", "true", _) => {}
                ("Replace", "true" | "false", _) => options.replace = Some(value == "true"),
                ("Force", "true", _) => options.force = true,
                // `helm.sh/resource-policy` stays the stricter one.
                ("Prune", _, Some(consent)) => options.prune = options.prune.max(consent),
                ("Delete", _, Some(consent)) => options.delete = options.delete.max(consent),
                _ => return Err(OptionError::Option(SYNC_OPTIONS, option.to_owned())),
            }
        }
        for option in list(COMPARE_OPTIONS) {
            match option {
                // Always compared on the server, with what its admission adds.
                "" | "ServerSideDiff=true" | "IncludeMutationWebhook=true" => {}
                "IgnoreExtraneous" => options.ignores_extraneous = true,
                other => return Err(OptionError::Option(COMPARE_OPTIONS, other.to_owned())),
            }
        }
        Ok(options)
    }
}

impl ObjectOptions {
    /// Whether a person has to agree before it is deleted.
    pub fn asks_before_it_goes(&self) -> bool {
        self.prune == Consent::Asked || self.delete == Consent::Asked
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(key: &str, value: &str) -> Result<ObjectOptions, OptionError> {
        ObjectOptions::read(&json!({"metadata": {"annotations": {key: value}}}))
    }

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        assert_eq!(ObjectOptions::read(&json!({})), Ok(ObjectOptions::default()));
        assert_eq!(with(SYNC_WAVE, "-2").map(|options| options.wave), Ok(-2));
        assert_eq!(
            with(SYNC_OPTIONS, "Prune=false, Delete=confirm").map(|o| (o.prune, o.delete)),
            Ok((Consent::Withheld, Consent::Asked))
        );
        assert_eq!(with(SYNC_WAVE, "first"), Err(OptionError::Wave("first".into())));
        for refused in ["Replace=maybe", "Prune=maybe", "Validate=false", "New=true"] {
            assert_eq!(
                with(SYNC_OPTIONS, refused),
                Err(OptionError::Option(SYNC_OPTIONS, refused.to_owned()))
            );
        }
        let anew = with(SYNC_OPTIONS, "Force=true,Replace=true").unwrap();
        assert_eq!((anew.force, anew.replace), (true, Some(true)));
        assert_eq!(with(SYNC_OPTIONS, "Replace=false").map(|options| options.replace), Ok(Some(false)));
        assert_eq!(
            with(HELM_KEEP, "keep").map(|o| (o.prune, o.delete)),
            Ok((Consent::Withheld, Consent::Withheld))
        );
        assert!(with("argocd.argoproj.io/hook", "PreSync").unwrap().hook.is_some());
        assert!(with(COMPARE_OPTIONS, "ServerSideDiff=true, IgnoreExtraneous").unwrap().ignores_extraneous);
        assert_eq!(
            with(COMPARE_OPTIONS, "ServerSideDiff=false"),
            Err(OptionError::Option(COMPARE_OPTIONS, "ServerSideDiff=false".into()))
        );
    }

    #[test]
    fn a_helm_hook_has_its_wave_by_its_weight() {
        let read = |annotations: Value| {
            ObjectOptions::read(&json!({"metadata": {"annotations": annotations}})).unwrap()
        };
        assert_eq!(read(json!({"helm.sh/hook": "pre-install", "helm.sh/hook-weight": "-5"})).wave, -5);
        assert_eq!(read(json!({"helm.sh/hook-weight": "-5"})).wave, 0);
    }
}
