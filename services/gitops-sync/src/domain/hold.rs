//! A hold: an Application stays at a revision, whatever its branch does, until a person releases it.
//!
//! A rollback that automated sync undoes a moment later helps nobody (argo-cd#5351, kargo#3016), and one that needs automated sync to
//! be turned off first is late. The hold takes the place of the spec's revision: drift is healed as ever, to the
//! revision that is held.

use std::collections::BTreeMap;

use mlp_crds::argocd::{HistoryEntry, Source};

use super::request::Request;
use super::revision;

/// The annotation that holds: a revision; one for each source, with commas, where there are several.
pub const HOLD: &str = "mlplatform.dev/hold";
/// The annotation that says who holds.
pub const HELD_BY: &str = "mlplatform.dev/held-by";
/// The annotation by which objects that the held revision does not have are deleted; else they stay.
pub const PRUNES: &str = "mlplatform.dev/hold-prune";
/// Longest text of a hold that is read.
const LONGEST: usize = 4_096;

/// The revision that is held, where one is.
pub fn held(annotations: &BTreeMap<String, String>) -> Option<String> {
    let text = annotations.get(HOLD).map(|text| text.trim())?;
    (!text.is_empty() && text.len() <= LONGEST).then(|| text.to_owned())
}

/// What people are told of a hold.
pub fn said(annotations: &BTreeMap<String, String>, revision: &str) -> String {
    let by = annotations.get(HELD_BY).map(|user| format!(" by {user}")).unwrap_or_default();
    let stay = if prunes(annotations) { "" } else { ", and objects that it does not have stay" };
    format!(
        "held at {revision}{by}: newer commits are not applied{stay}; to go on, remove the annotation {HOLD}"
    )
}

/// Whether automated sync deletes while the Application is held.
pub fn prunes(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(PRUNES).is_some_and(|value| value == "true")
}

/// Why a hold cannot be followed: it names a revision too few or too many.
pub fn misfit(held: &str, request: &Request) -> Option<String> {
    let has = request.origins.len();
    revision::misfit(held, has).map(|names| {
        format!("the annotation {HOLD} names {names} revisions (`{held}`), and the Application has {has} sources; remove it, or write one for each")
    })
}

/// The revision of an entry of the history, where the Application can go back to it.
///
/// # Errors
/// The entry is of another source than the spec has now.
pub fn revision_of(entry: &HistoryEntry, request: &Request) -> Result<String, String> {
    let place = |source: &Source| Source { target_revision: None, ..source.clone() };
    let (now, several) = request.sources();
    let same = entry.source.as_ref().map(place) == now.as_ref().map(place)
        && entry.sources.iter().map(place).eq(several.iter().map(place));
    if !same {
        return Err(format!(
            "entry {} of the history was made from another source than spec.source is now; change the spec instead",
            entry.id
        ));
    }
    Ok(revision::entered(entry))
}

#[cfg(test)]
mod tests {
    use mlp_crds::argocd::ApplicationSpec;
    use serde_json::json;

    use super::*;
    use crate::domain::request;

    #[test]
    fn a_hold_is_a_revision_and_says_how_it_ends() {
        let annotations = |text: &str| {
            BTreeMap::from([(HOLD.to_owned(), text.to_owned()), (HELD_BY.to_owned(), "ada".to_owned())])
        };
        assert_eq!(held(&annotations(" abc ")).as_deref(), Some("abc"));
        assert_eq!(held(&annotations("")), None);
        assert_eq!(held(&annotations(&"a".repeat(5_000))), None);
        let said = said(&annotations("abc"), "abc");
        assert!(
            said.contains("held at abc by ada") && said.contains("remove the annotation mlplatform.dev/hold"),
            "{said}"
        );
    }

    #[test]
    fn one_goes_back_within_the_same_source() {
        let spec = |path: &str| -> ApplicationSpec {
            serde_json::from_value(json!({"project": "default", "destination": {"namespace": "ml"},
                "source": {"repoURL": "https://git.example/x", "path": path, "targetRevision": "main"}}))
            .unwrap()
        };
        let entry: HistoryEntry = serde_json::from_value(json!({"id": 3, "revision": "abc",
            "source": {"repoURL": "https://git.example/x", "path": "web", "targetRevision": "old"}}))
        .unwrap();
        let of = |path: &str| revision_of(&entry, &request::validate(&spec(path)).unwrap());
        assert_eq!(of("web"), Ok("abc".to_owned()));
        assert!(of("other").unwrap_err().contains("entry 3"));
        let request = request::validate(&spec("web")).unwrap();
        assert_eq!(misfit("abc", &request), None);
        assert!(misfit("abc,def", &request).unwrap().contains("names 2 revisions"));
        assert!(misfit("abc,", &request).is_some());
    }
}
