//! `spec.source.helm`: what `helm template` is told.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::place;

/// The options, as the spec has them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    release_name: String,
    value_files: Vec<String>,
    ignore_missing_value_files: bool,
    values: String,
    values_object: Option<Value>,
    parameters: Vec<Parameter>,
    file_parameters: Vec<FileParameter>,
    skip_crds: bool,
    skip_tests: bool,
    skip_schema_validation: bool,
    namespace: String,
    kube_version: String,
    api_versions: Vec<String>,
    /// Credentials of chart repositories: none is asked while manifests are made.
    pass_credentials: bool,
    version: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Parameter {
    name: String,
    value: String,
    force_string: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct FileParameter {
    name: String,
    path: String,
}

/// Where the chart goes.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Name of the Application, which is the release's where the spec names none.
    pub application: &'a str,
    /// Destination.
    pub namespace: &'a str,
    /// The cluster's version, `v1.36.3`.
    pub kube_version: &'a str,
    /// Group versions that the cluster serves.
    pub api_versions: &'a [String],
}

/// Reads the options.
///
/// # Errors
/// Field and message for each that is not understood.
pub fn options(value: &Value) -> Result<Options, Vec<(String, String)>> {
    let options: Options = serde_json::from_value(value.clone())
        .map_err(|error| vec![(String::new(), format!("cannot be read: {error}"))])?;
    let unsupported = || "is not supported; remove it".to_owned();
    let set = options.rest.iter().filter(|(_, value)| !matches!(value, Value::Null | Value::Bool(false)));
    let mut refused: Vec<_> = set.map(|(key, _)| (key.clone(), unsupported())).collect();
    for (index, file) in options.value_files.iter().enumerate() {
        let wrong = match file.as_str() {
            file if file.contains("://") => "is an address; put the file into the repository",
            file if file.starts_with('$') && reference(file).is_none() => {
                "names no file of another source; write $NAME/PATH"
            }
            file if file.contains(['*', '?', '[']) => "is a pattern, which is not supported; name each file",
            _ => continue,
        };
        refused.push((format!("valueFiles[{index}]"), format!("`{file}` {wrong}")));
    }
    for (index, parameter) in options.parameters.iter().enumerate() {
        if parameter.value.contains("$ARGOCD_APP") || parameter.value.contains("${ARGOCD_APP") {
            refused.push((
                format!("parameters[{index}]"),
                "asks for Argo CD's environment, which is not supported; write the value".to_owned(),
            ));
        }
    }
    if options.release_name.starts_with('-') {
        refused.push((
            "releaseName".to_owned(),
            format!("is `{}`; begin it with a letter", options.release_name),
        ));
    }
    if !["", "v3"].contains(&options.version.as_str()) {
        refused
            .push(("version".to_owned(), format!("is `{}`; remove it: there is one Helm", options.version)));
    }
    if refused.is_empty() { Ok(options) } else { Err(refused) }
}

/// The source and the path in it that a value file of another source names: `$NAME/PATH`.
fn reference(file: &str) -> Option<(&str, String)> {
    let (name, path) = file.strip_prefix('$')?.split_once('/')?;
    let path = place::join("", path).filter(|path| !path.is_empty())?;
    (!name.is_empty()).then_some((name, path))
}

/// Where a file of another source stands in the tree; no repository can have a file there, because git keeps none
/// below `.git`.
pub fn beside(name: &str, path: &str) -> String {
    format!(".git/sources/{name}/{path}")
}

/// What a path means in a chart's repository: from its root where it begins with a slash, as Argo CD has it.
fn at(folder: &str, path: &str) -> Result<String, String> {
    let found = match path.strip_prefix('/') {
        Some(rest) => place::join("", rest),
        None => place::join(folder, path),
    };
    found.ok_or_else(|| format!("`{path}` leaves the repository"))
}

impl Options {
    /// Value files of other sources: their places in the list, the sources' names, and paths there.
    pub fn references(&self) -> impl Iterator<Item = (usize, &str, String)> {
        let files = self.value_files.iter().enumerate();
        files.filter_map(|(index, file)| reference(file).map(|(name, path)| (index, name, path)))
    }

    /// Whether a value file may be missing.
    pub const fn ignores_missing(&self) -> bool {
        self.ignore_missing_value_files
    }

    /// Files of the repository that are read beside the chart, and whether each must be there.
    ///
    /// # Errors
    /// A path that leaves the repository.
    pub fn files(&self, folder: &str) -> Result<Vec<(String, bool)>, String> {
        let own = self.value_files.iter().filter(|file| reference(file).is_none());
        let values = own.map(|path| Ok((at(folder, path)?, !self.ignore_missing_value_files)));
        let files = self.file_parameters.iter().map(|file| Ok((at(folder, &file.path)?, true)));
        values.chain(files).collect()
    }

    /// Values that the spec itself holds.
    pub fn own_values(&self) -> Option<String> {
        match &self.values_object {
            // JSON is YAML.
            Some(object) => Some(object.to_string()),
            None => (!self.values.trim().is_empty()).then(|| self.values.clone()),
        }
    }

    /// Texts of the spec that no message should repeat: any of them may be a password.
    pub fn secrets(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.parameters.iter().map(|parameter| parameter.value.clone()).collect();
        let own =
            self.values_object.clone().or_else(|| super::manifest::document("values", &self.values).ok());
        collect(&own.unwrap_or_default(), &mut found);
        found
    }

    /// The command line in the root of the tree. `present` are the files that are there, of this repository and
    /// [`beside`] it; the spec's own values stand in `own`. Later ones win: files, own values, parameters.
    pub fn arguments(
        &self,
        folder: &str,
        release: Release<'_>,
        present: &[String],
        own: Option<&str>,
    ) -> Vec<String> {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        let chart = if folder.is_empty() { "." } else { folder };
        let mut all = vec![
            "template".to_owned(),
            or(&self.release_name, release.application),
            format!("./{chart}"),
            "--namespace".to_owned(),
            or(&self.namespace, release.namespace),
            "--kube-version".to_owned(),
            or(&self.kube_version, release.kube_version),
        ];
        let served = if self.api_versions.is_empty() { release.api_versions } else { &self.api_versions };
        for version in served {
            all.extend(["--api-versions".to_owned(), version.clone()]);
        }
        if !self.skip_crds {
            all.push("--include-crds".to_owned());
        }
        if self.skip_tests {
            all.push("--skip-tests".to_owned());
        }
        if self.skip_schema_validation {
            all.push("--skip-schema-validation".to_owned());
        }
        let place = |file: &String| match reference(file) {
            Some((name, path)) => Some(beside(name, &path)),
            None => at(folder, file).ok(),
        };
        for path in self.value_files.iter().filter_map(place).filter(|path| present.contains(path)) {
            all.extend(["--values".to_owned(), path]);
        }
        if let Some(own) = own {
            all.extend(["--values".to_owned(), own.to_owned()]);
        }
        for parameter in &self.parameters {
            let flag = if parameter.force_string { "--set-string" } else { "--set" };
            let value = escaped(&parameter.value);
            all.extend([flag.to_owned(), format!("{}={value}", parameter.name)]);
        }
        for parameter in &self.file_parameters {
            let path = at(folder, &parameter.path).unwrap_or_default();
            all.extend(["--set-file".to_owned(), format!("{}={path}", parameter.name)]);
        }
        all
    }
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, texts)),
        _ => {}
    }
}

/// A comma in a value is no end of the value, as Argo CD has it; a list in braces and what is escaped stay.
fn escaped(value: &str) -> String {
    if value.starts_with('{') && value.ends_with('}') {
        return value.to_owned();
    }
    let mut text = String::with_capacity(value.len());
    let mut before = None;
    for letter in value.chars() {
        if letter == ',' && before != Some('\\') {
            text.push('\\');
        }
        text.push(letter);
        before = Some(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RELEASE: Release<'_> =
        Release { application: "web", namespace: "team", kube_version: "v1.36.3", api_versions: &[] };

    #[test]
    fn an_unknown_option_is_refused_by_name() {
        let refused = options(&json!({
            "valueFiles": ["a.yaml", "$ref", "https://x/y", "v-*.yaml"], "version": "v2", "new": 1,
            "parameters": [{"name": "a", "value": "$ARGOCD_APP_NAME"}],
        }));
        let fields: Vec<_> = refused.unwrap_err().into_iter().map(|(field, _)| field).collect();
        assert_eq!(
            fields,
            ["new", "valueFiles[1]", "valueFiles[2]", "valueFiles[3]", "parameters[0]", "version"]
        );
    }

    #[test]
    fn files_come_before_own_values_and_those_before_parameters() {
        let options = options(&json!({
            "releaseName": "r", "valueFiles": ["../v.yaml", "/root.yaml", "gone.yaml"], "ignoreMissingValueFiles": true,
            "values": "a: 1", "parameters": [{"name": "b", "value": "1,2"}, {"name": "c", "value": "3", "forceString": true}],
            "fileParameters": [{"name": "d", "path": "d.txt"}], "skipCrds": true,
        }))
        .unwrap();
        let files = options.files("charts/web").unwrap();
        assert_eq!(files[..2], [("charts/v.yaml".to_owned(), false), ("root.yaml".to_owned(), false)]);
        assert_eq!(files[3], ("charts/web/d.txt".to_owned(), true));
        let present = ["charts/v.yaml", "root.yaml"].map(str::to_owned);
        assert_eq!(options.own_values().as_deref(), Some("a: 1"));
        let said = options.arguments("charts/web", RELEASE, &present, Some("own.yaml")).join(" ");
        assert_eq!(
            said,
            "template r ./charts/web --namespace team --kube-version v1.36.3 --values charts/v.yaml --values root.yaml \
             --values own.yaml --set b=1\\,2 --set-string c=3 --set-file d=charts/web/d.txt"
        );
    }

    #[test]
    fn a_comma_in_a_value_is_no_end_of_it() {
        for (value, said) in [("a,b", "a\\,b"), ("a\\,b", "a\\,b"), ("{a,b}", "{a,b}"), (",", "\\,")] {
            assert_eq!(escaped(value), said);
        }
        assert!(options(&json!({"releaseName": "--show-only=x"})).is_err());
    }

    #[test]
    fn the_object_wins_over_the_text_and_what_leaves_the_repository_is_refused() {
        let both = options(&json!({"values": "a: 1", "valuesObject": {"a": 2}})).unwrap();
        assert_eq!(both.own_values().as_deref(), Some(r#"{"a":2}"#));
        let out = options(&json!({"valueFiles": ["../../x"]})).unwrap();
        assert!(out.files("chart").unwrap_err().contains("leaves the repository"));
        let plain = options(&json!({})).unwrap();
        assert!(
            plain
                .arguments("", RELEASE, &[], None)
                .join(" ")
                .starts_with("template web ./. --namespace team")
        );
    }
}
