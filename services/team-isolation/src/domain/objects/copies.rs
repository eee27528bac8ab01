//! Copies of Secrets and ConfigMaps that every namespace of a team is given.
//!
//! An original is copied only where its owner allows it, by the label [`COPYABLE`]: naming somebody
//! else's Secret in a Team is not enough.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use mlp_crds::team::{CopiedKind, CopiedObject};
use mlp_model::labels;

use super::{Object, Surroundings, metadata};
use crate::domain::model::DeclaredTeam;

/// Label by which the owner of a Secret or ConfigMap lets teams have copies of it; value `true`.
pub const COPYABLE: &str = "mlplatform.dev/copyable";

/// Label of the copies themselves; value `true`.
pub const COPIED: &str = "mlplatform.dev/copied";

/// Originals by kind, namespace and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Originals {
    /// ConfigMaps by namespace and name.
    pub config_maps: BTreeMap<(String, String), ConfigMap>,
    /// Secrets by namespace and name.
    pub secrets: BTreeMap<(String, String), Secret>,
}

impl Originals {
    /// The copies that a team asks for and whose original is not there, or not copyable.
    pub fn missing<'a>(&self, copies: &'a [CopiedObject]) -> Vec<&'a CopiedObject> {
        let is_there = |copy: &&CopiedObject| {
            let key = (copy.namespace.clone(), copy.name.clone());
            match copy.kind {
                CopiedKind::ConfigMap => self.config_maps.contains_key(&key),
                CopiedKind::Secret => self.secrets.contains_key(&key),
            }
        };
        copies.iter().filter(|copy| !is_there(copy)).collect()
    }
}

/// The copies for one namespace, of those originals that are there.
pub(super) fn copies(team: &DeclaredTeam, namespace: &str, around: &Surroundings) -> Vec<Object> {
    let asked = team.copies.iter().filter(|copy| copy.namespace != namespace);
    let made = asked.filter_map(|copy| {
        let key = (copy.namespace.clone(), copy.name.clone());
        let mut metadata = metadata(team, namespace, &copy.name);
        metadata.labels.get_or_insert_default().insert(COPIED.to_owned(), "true".to_owned());
        let origin = format!("{}/{}", copy.namespace, copy.name);
        metadata.annotations = Some([(format!("{}/copy-of", labels::GROUP), origin)].into());
        match copy.kind {
            CopiedKind::ConfigMap => {
                let original = around.originals.config_maps.get(&key)?.clone();
                Some(Object::ConfigMap(ConfigMap { metadata, ..original }))
            }
            CopiedKind::Secret => {
                let original = around.originals.secrets.get(&key)?.clone();
                Some(Object::Secret(Secret { metadata, ..original }))
            }
        }
    });
    made.collect()
}
