//! What annotations of an object in git ask for.

use serde_json::Value;

use super::hook::{HELM_WEIGHT, Hook};

/// Comma list of options of one object.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Wave of one object.
const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Helm's word for an object that stays: often one that holds data.
const HELM_KEEP: &str = "helm.sh/resource-policy";
/// Annotations that change how an object is compared: not supported yet, so refused.
const REFUSED: [&str; 1] = ["argocd.argoproj.io/compare-options"];

/// Options of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Wave; lower ones are applied and healthy first.
    pub wave: i64,
    /// Whether the object may be deleted once it left git.
    pub prune: bool,
    /// Whether the object is deleted with its Application.
    pub delete: bool,
    /// Whether it is deleted and made anew where the API server does not let it become what git wants.
    pub force: bool,
    /// When it runs, where it is a hook.
    pub hook: Option<Hook>,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self { wave: 0, prune: true, delete: true, force: false, hook: None }
    }
}

/// Why an annotation was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// The annotation is one that we do not act on.
    #[error("annotation `{0}` is not supported; remove it")]
    Annotation(&'static str),
    /// The wave is no whole number.
    #[error("annotation `{SYNC_WAVE}` is `{0}`; write a whole number in quotes")]
    Wave(String),
    /// A word of a hook's annotation is none that we know.
    #[error("annotation `{0}` has `{1}`, which is not supported; remove it")]
    Hook(&'static str, String),
    /// One option of `sync-options` is one that we do not act on.
    #[error("annotation `{SYNC_OPTIONS}` has `{0}`, which is not supported; remove it")]
    Option(String),
}

impl ObjectOptions {
    /// Reads the annotations of an object, live or from git.
    ///
    /// # Errors
    /// [`OptionError`] for what we would otherwise ignore.
    pub fn read(object: &Value) -> Result<Self, OptionError> {
        let annotation =
            |key: &str| object.pointer("/metadata/annotations").and_then(|all| all.get(key)?.as_str());
        if let Some(key) = REFUSED.into_iter().find(|key| annotation(key).is_some()) {
            return Err(OptionError::Annotation(key));
        }
        let hook = Hook::read(annotation).map_err(|(key, word)| OptionError::Hook(key, word))?;
        let mut options = Self { hook, ..Self::default() };
        let weight = annotation(HELM_WEIGHT).filter(|_| options.hook.is_some());
        if let Some(text) = annotation(SYNC_WAVE).or(weight) {
            options.wave = text.trim().parse().map_err(|_| OptionError::Wave(text.to_owned()))?;
        }
        if annotation(HELM_KEEP).is_some_and(|text| text.trim() == "keep") {
            (options.prune, options.delete) = (false, false);
        }
        let mut replace = false;
        for option in annotation(SYNC_OPTIONS).unwrap_or_default().split(',').map(str::trim) {
            match option {
                // We always apply on the server, prune last and let the server validate.
                ""
                | "Prune=true"
                | "Delete=true"
                | "PruneLast=true"
                | "ServerSideApply=true"
                | "Validate=true" => {}
                "SkipDryRunOnMissingResource=true" | "Replace=false" | "Force=false" => {}
                "Replace=true" => replace = true,
                "Force=true" => options.force = true,
                "Prune=false" => options.prune = false,
                "Delete=false" => options.delete = false,
                other => return Err(OptionError::Option(other.to_owned())),
            }
        }
        // With `Force` it is replaced where that is needed; alone it would undo what controllers write.
        if replace && !options.force {
            return Err(OptionError::Option("Replace=true".to_owned()));
        }
        Ok(options)
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
            with(SYNC_OPTIONS, "Prune=false, Delete=false").map(|o| (o.prune, o.delete)),
            Ok((false, false))
        );
        assert_eq!(with(SYNC_WAVE, "first"), Err(OptionError::Wave("first".into())));
        assert_eq!(with(SYNC_OPTIONS, "Replace=true"), Err(OptionError::Option("Replace=true".into())));
        assert!(with(SYNC_OPTIONS, "Force=true,Replace=true").unwrap().force);
        assert_eq!(with(HELM_KEEP, "keep").map(|o| (o.prune, o.delete)), Ok((false, false)));
        assert!(with("argocd.argoproj.io/hook", "PreSync").unwrap().hook.is_some());
        assert_eq!(
            with("argocd.argoproj.io/compare-options", "IgnoreExtraneous"),
            Err(OptionError::Annotation("argocd.argoproj.io/compare-options"))
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
