//! Whether an object may be deleted: yes, no, or once a person has said so.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Annotation of an Application by which a person agrees to deletions that ask for it; its value is when.
const APPROVED: &str = "argocd.argoproj.io/deletion-approved";

/// What `Prune` and `Delete` say of an object; of two the stricter one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consent {
    /// `true`: it may go.
    #[default]
    Given,
    /// `confirm`: it may go once somebody agrees.
    Asked,
    /// `false`: it stays.
    Withheld,
}

impl Consent {
    /// Reads an option's value.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "true" => Some(Self::Given),
            "confirm" => Some(Self::Asked),
            "false" => Some(Self::Withheld),
            _ => None,
        }
    }

    /// Whether it may go now; `approved`: somebody agreed.
    pub fn holds(self, approved: bool) -> bool {
        self == Self::Given || (self == Self::Asked && approved)
    }
}

/// Whether somebody agreed, in the annotations of the Application, to what was begun at `since`: what is older was said
/// of something else.
pub fn is_approved(annotations: &BTreeMap<String, String>, since: Option<Timestamp>) -> bool {
    approves(annotations.get(APPROVED).map(String::as_str), since)
}

fn approves(annotation: Option<&str>, since: Option<Timestamp>) -> bool {
    let said = annotation.and_then(|text| text.parse::<Timestamp>().ok());
    said.zip(since).is_some_and(|(said, since)| said >= since)
}

/// How a request begins.
const ASKED: &str = "waiting: the deletion of ";
/// Most objects named in one request.
const NAMED: usize = 20;

/// What a person is told who has to agree to deletions of what was begun at `since`; none where there are none.
pub fn request(objects: &[String], since: &str) -> Option<String> {
    if objects.is_empty() {
        return None;
    }
    let named = objects.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let left = objects.len().saturating_sub(NAMED);
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    Some(format!(
        "{ASKED}{named}{more} is to be confirmed; annotate the Application with {APPROVED}={since} or a later time"
    ))
}

/// Whether the message of an operation is a request.
pub fn is_asked(message: Option<&str>) -> bool {
    message.is_some_and(|said| said.starts_with(ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_two_counts_and_an_old_word_is_none() {
        assert_eq!(Consent::read("confirm").max(Consent::read("true")), Some(Consent::Asked));
        assert_eq!(Consent::Asked.max(Consent::Withheld), Consent::Withheld);
        assert_eq!(Consent::read("maybe"), None);
        assert!(Consent::Asked.holds(true) && !Consent::Asked.holds(false) && !Consent::Withheld.holds(true));
        let since = "2026-01-01T10:00:00Z".parse().ok();
        assert!(approves(Some("2026-01-01T10:00:00Z"), since));
        assert!(!approves(Some("2026-01-01T09:59:59Z"), since) && !approves(Some("yes"), since));
        let said = request(&["Pod a".to_owned(), "Pod b".to_owned()], "now").unwrap();
        assert!(said.starts_with("waiting: the deletion of Pod a, Pod b is to be confirmed"), "{said}");
        assert!(request(&vec!["Pod a".to_owned(); 21], "now").unwrap().contains(" and 1 more is"));
        assert_eq!(request(&[], "now"), None);
        assert!(!approves(None, since) && !approves(Some("2026-01-01T10:00:00Z"), None));
    }
}
