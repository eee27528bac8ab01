//! Kustomize and Helm.

use super::Renderer;
use crate::domain::helm::{Options, Release};
use crate::domain::tool::Tool;

/// Where a chart's own values stand in its tree; no repository can have a file there, because git keeps none
/// below `.git`.
const OWN_VALUES: &str = ".git/values.yaml";

/// `kustomize build` of a folder.
#[derive(Clone, Debug)]
pub struct Kustomize {
    /// The folder in the repository.
    pub folder: String,
}

impl Renderer for Kustomize {
    fn tool(&self) -> Tool {
        Tool::Kustomize
    }

    fn own_files(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn arguments(&self, _: &[String]) -> Vec<String> {
        vec!["build".to_owned(), format!("./{}", self.folder)]
    }
}

/// `helm template` of a chart.
#[derive(Clone, Debug)]
pub struct Helm {
    /// The chart's folder in the repository.
    pub folder: String,
    /// What the spec says.
    pub options: Options,
    /// Value files of other sources, by their places in the tree.
    pub values: Vec<(String, String)>,
    /// Name of the Application.
    pub application: String,
    /// Destination.
    pub namespace: String,
    /// The cluster's version.
    pub kube_version: String,
    /// Group versions that the cluster serves.
    pub api_versions: Vec<String>,
}

impl Renderer for Helm {
    fn tool(&self) -> Tool {
        Tool::Helm
    }

    fn own_files(&self) -> Vec<(String, String)> {
        let own = self.options.own_values().map(|values| (OWN_VALUES.to_owned(), values));
        own.into_iter().chain(self.values.iter().cloned()).collect()
    }

    fn secrets(&self) -> Vec<String> {
        self.options.secrets()
    }

    fn arguments(&self, present: &[String]) -> Vec<String> {
        let release = Release {
            application: &self.application,
            namespace: &self.namespace,
            kube_version: &self.kube_version,
            api_versions: &self.api_versions,
        };
        let own = self.options.own_values().map(|_| OWN_VALUES);
        let beside = self.values.iter().map(|(path, _)| path);
        let present: Vec<String> = present.iter().chain(beside).cloned().collect();
        self.options.arguments(&self.folder, release, &present, own)
    }
}
