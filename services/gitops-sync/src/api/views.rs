//! Views as messages: what differs, and what is wanted.

use mlp_proto::gitops::api::v1 as proto;
use serde_json::Value;

use crate::domain::policy::{Finding, Verdict};
use crate::domain::view::{Seen, Standing, View};
use crate::events::wire;

/// What differs, after the revision that it is of.
pub(super) fn differences(view: View) -> Vec<proto::DiffApplicationResponse> {
    let revision = view.revision;
    let gaps = view.gaps.into_iter().map(|message| proto::DiffApplicationResponse {
        revision: revision.clone(),
        difference: proto::Difference::Unknown.into(),
        message,
        ..Default::default()
    });
    let head = proto::DiffApplicationResponse { revision: revision.clone(), ..Default::default() };
    let objects = view.objects.into_iter().filter_map(|seen| difference(&revision, seen));
    std::iter::once(head).chain(gaps).chain(objects).collect()
}

fn difference(revision: &str, seen: Seen) -> Option<proto::DiffApplicationResponse> {
    use proto::Difference;
    let (difference, message) = match seen.standing {
        Standing::Same => return None,
        Standing::Changed => (Difference::Changed, String::new()),
        Standing::Missing => (Difference::Missing, String::new()),
        Standing::Extra => (Difference::Extra, String::new()),
        Standing::Foreign(other) => (Difference::Foreign, format!("it is of the Application {other}")),
        Standing::KindMissing => (Difference::KindMissing, "its kind is not installed".to_owned()),
        Standing::Refused(why) => (Difference::Refused, why),
    };
    Some(proto::DiffApplicationResponse {
        revision: revision.to_owned(),
        resource: Some(wire::reference(&seen.id)),
        difference: difference.into(),
        live: text(seen.live),
        wanted: text(seen.wanted),
        message,
    })
}

/// What is wanted.
pub(super) fn manifests(view: View) -> Vec<proto::GetManifestsResponse> {
    let revision = view.revision;
    let one = |seen: Seen| proto::GetManifestsResponse {
        revision: revision.clone(),
        resource: Some(wire::reference(&seen.id)),
        manifest: text(seen.wanted),
    };
    view.objects.into_iter().map(one).collect()
}

/// Rules that are broken.
pub(super) fn findings(view: View) -> proto::GetFindingsResponse {
    let one = |finding: Finding| proto::Finding {
        rule: finding.rule.to_owned(),
        denied: finding.verdict == Verdict::Deny,
        resource: Some(wire::reference(&finding.id)),
        file: finding.file,
        line: finding.line,
        message: finding.message,
    };
    proto::GetFindingsResponse {
        revision: view.revision,
        findings: view.findings.into_iter().map(one).collect(),
    }
}

fn text(object: Option<Value>) -> String {
    object.map(|object| object.to_string()).unwrap_or_default()
}
