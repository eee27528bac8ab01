//! What an image is made of, as data under `tilt/images`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::node::NodeError;

/// What an image is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Recipe {
    /// Name and tag, as pods write it.
    pub(super) reference: String,
    /// Debian packages; what they depend on comes along.
    #[serde(default)]
    pub(super) packages: Vec<String>,
    /// Packages that are left out although others name them; `*` at the end stands for any rest.
    #[serde(default)]
    pub(super) without: Vec<String>,
    /// Paths that are removed at the end.
    #[serde(default)]
    pub(super) prune: Vec<String>,
    /// A program of our toolchain, placed at the top.
    #[serde(default)]
    pub(super) program: Option<String>,
    /// Who runs in it.
    pub(super) user: User,
    /// Folders that belong to that user, with their mode.
    #[serde(default)]
    pub(super) folders: BTreeMap<String, String>,
    /// Symbolic links and what they point to.
    #[serde(default)]
    pub(super) links: BTreeMap<String, String>,
    entrypoint: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    working_folder: Option<String>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    stop_signal: Option<String>,
}

/// A user and the group of the same name and number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) id: u32,
}

/// A recipe with the text files that it brings along.
pub(super) struct Source {
    pub(super) name: &'static str,
    text: &'static str,
    pub(super) entrypoint: Option<&'static str>,
}

/// Every image of ours.
pub(super) const SOURCES: [Source; 4] = [
    Source { name: "pause", text: include_str!("../../../images/pause/image.json"), entrypoint: None },
    Source { name: "coredns", text: include_str!("../../../images/coredns/image.json"), entrypoint: None },
    Source {
        name: "postgres",
        text: include_str!("../../../images/postgres/image.json"),
        entrypoint: Some(include_str!("../../../images/postgres/entrypoint.sh")),
    },
    Source {
        name: "redis",
        text: include_str!("../../../images/redis/image.json"),
        entrypoint: Some(include_str!("../../../images/redis/entrypoint.sh")),
    },
];

impl Source {
    pub(super) fn recipe(&self) -> Result<Recipe, NodeError> {
        serde_json::from_str(self.text).map_err(|source| NodeError::Recipe { name: self.name.into(), source })
    }

    /// What tells two versions of the image apart; `program` is the version of a program within.
    pub(super) fn digest(&self, program: &str) -> String {
        let parts = [self.text, self.entrypoint.unwrap_or_default(), program, architecture()];
        let digest = Sha256::digest(parts.join("\0").as_bytes());
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Recipe {
    /// Whether a package of the closure is left out.
    pub(super) fn leaves_out(&self, package: &str) -> bool {
        self.without.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => package.starts_with(prefix),
            None => package == pattern,
        })
    }

    /// The image's configuration, for a single layer of this digest.
    pub(super) fn config(&self, layer: &str) -> Value {
        let environment: Vec<String> =
            self.environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let ports: BTreeMap<String, Value> =
            self.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
        let mut config = json!({
            "User": format!("{id}:{id}", id = self.user.id),
            "Env": environment,
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "WorkingDir": self.working_folder.as_deref().unwrap_or("/"),
            "ExposedPorts": ports,
        });
        if let (Some(signal), Some(config)) = (&self.stop_signal, config.as_object_mut()) {
            config.insert("StopSignal".into(), signal.as_str().into());
        }
        json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
            "history": [{"created": "1970-01-01T00:00:00Z", "comment": "built from Debian packages by mlp"}],
        })
    }
}

/// This machine, in the words of images and of Debian.
pub(super) const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_reads_and_runs_as_somebody_who_is_not_root() {
        for source in &SOURCES {
            let recipe = source.recipe().unwrap();
            assert!(recipe.user.id > 0, "{}", source.name);
            assert!(recipe.reference.starts_with(&format!("mlp/{}:", source.name)));
            let config = recipe.config("abc");
            assert_eq!(config["rootfs"]["diff_ids"][0], "sha256:abc");
            assert!(!config["config"]["Entrypoint"].as_array().unwrap().is_empty());
        }
    }

    #[test]
    fn packages_are_left_out_by_name_or_prefix() {
        let postgres = SOURCES.iter().find(|source| source.name == "postgres").unwrap().recipe().unwrap();
        assert!(postgres.leaves_out("perl-modules-5.36") && postgres.leaves_out("tar"));
        assert!(!postgres.leaves_out("libpq5") && !postgres.leaves_out("tzdata"));
    }

    #[test]
    fn another_program_makes_another_image() {
        let [_, coredns, ..] = &SOURCES;
        assert_ne!(coredns.digest("v1"), coredns.digest("v2"));
    }
}
