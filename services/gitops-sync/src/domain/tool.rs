//! Which tool makes a folder into manifests, as Argo CD finds out.

/// What makes a folder into manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tool {
    /// The files are the manifests.
    #[default]
    Directory,
    /// `kustomize build`.
    Kustomize,
    /// `helm template`.
    Helm,
}

/// Names of a kustomization, in the order in which they count.
pub const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// What makes a folder a chart.
pub const CHART: &str = "Chart.yaml";

impl Tool {
    /// The tool of a folder by the names in it.
    pub fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        if names.clone().any(|name| name == CHART) {
            Self::Helm
        } else if names.into_iter().any(|name| KUSTOMIZATIONS.contains(&name)) {
            Self::Kustomize
        } else {
            Self::Directory
        }
    }

    /// The word of `status.sourceType`.
    pub const fn source_type(self) -> &'static str {
        match self {
            Self::Directory => "Directory",
            Self::Kustomize => "Kustomize",
            Self::Helm => "Helm",
        }
    }

    /// Its name: the program's, too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Kustomize => "kustomize",
            Self::Helm => "helm",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_counts_before_a_kustomization_and_both_before_plain_files() {
        let of = |names: &[&'static str]| Tool::of(names.iter().copied());
        assert_eq!(of(&["Chart.yaml", "kustomization.yaml"]), Tool::Helm);
        assert_eq!(of(&["a.yaml", "Kustomization"]), Tool::Kustomize);
        assert_eq!(of(&["a.yaml", "charts"]), Tool::Directory);
    }
}
