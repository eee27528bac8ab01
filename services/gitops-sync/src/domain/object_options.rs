//! What annotations of an object in git ask for.

use serde_json::Value;

/// Comma list of options of one object.
const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Wave of one object.
const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Annotations that make an object a hook, or change how it is compared: not supported yet, so
/// refused. Applied as ordinary objects they would do something else than they say.
const REFUSED: [&str; 3] = ["argocd.argoproj.io/hook", "helm.sh/hook", "argocd.argoproj.io/compare-options"];

/// Options of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectOptions {
    /// Wave; lower ones are applied and healthy first.
    pub wave: i64,
    /// Whether the object may be deleted once it left git.
    pub prune: bool,
    /// Whether the object is deleted with its Application.
    pub delete: bool,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self { wave: 0, prune: true, delete: true }
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
        let mut options = Self::default();
        if let Some(text) = annotation(SYNC_WAVE) {
            options.wave = text.trim().parse().map_err(|_| OptionError::Wave(text.to_owned()))?;
        }
        for option in annotation(SYNC_OPTIONS).unwrap_or_default().split(',').map(str::trim) {
            match option {
                // We always apply on the server, prune last and let the server validate.
                ""
                | "Prune=true"
                | "Delete=true"
                | "PruneLast=true"
                | "ServerSideApply=true"
                | "Validate=true" => {}
                "SkipDryRunOnMissingResource=true" => {}
                "Prune=false" => options.prune = false,
                "Delete=false" => options.delete = false,
                other => return Err(OptionError::Option(other.to_owned())),
            }
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
        assert_eq!(
            with("argocd.argoproj.io/hook", "PreSync"),
            Err(OptionError::Annotation("argocd.argoproj.io/hook"))
        );
    }
}
