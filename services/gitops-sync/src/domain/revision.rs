//! Commits of an Application, one for each of its sources, in one text.
//!
//! Argo CD writes `revision` for one source and `revisions` for several; within the service they are compared and
//! told of as one.

use mlp_crds::argocd::{HistoryEntry, SyncResult, SyncStatus};

/// Stands between commits; in no name of a revision that git has.
const BETWEEN: &str = ",";

/// The commits as one text.
pub fn joined(one: &str, several: &[String]) -> String {
    if several.is_empty() { one.to_owned() } else { several.join(BETWEEN) }
}

/// The text as Argo CD has it: `revision`, and `revisions` where the Application has several sources.
pub fn apart(text: &str, several: bool) -> (String, Vec<String>) {
    if several {
        (String::new(), text.split(BETWEEN).map(str::to_owned).collect())
    } else {
        (text.to_owned(), Vec::new())
    }
}

/// How many revisions a text names, where it is not one for each of so many sources.
pub fn misfit(text: &str, sources: usize) -> Option<usize> {
    let named: Vec<&str> = text.split(BETWEEN).collect();
    let fits = named.len() == sources && named.iter().all(|one| !one.trim().is_empty());
    (!fits).then_some(named.len())
}

/// What an operation began with.
pub fn begun(result: &SyncResult) -> String {
    joined(&result.revision, &result.revisions)
}

/// What an entry of the history is of.
pub fn entered(entry: &HistoryEntry) -> String {
    joined(entry.revision.as_deref().unwrap_or_default(), &entry.revisions)
}

/// What was compared, where anything was.
pub fn compared(sync: &SyncStatus) -> Option<String> {
    Some(joined(sync.revision.as_deref().unwrap_or_default(), &sync.revisions))
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_comes_apart() {
        let two = ["a".to_owned(), "b".to_owned()];
        assert_eq!(joined("", &two), "a,b");
        assert_eq!(apart("a,b", true), (String::new(), two.to_vec()));
        assert_eq!(apart("a", true), (String::new(), vec!["a".to_owned()]));
        assert_eq!((joined("a", &[]), apart("a", false)), ("a".to_owned(), ("a".to_owned(), vec![])));
        assert_eq!((misfit("main", 1), misfit("a,b", 2)), (None, None));
        for (text, sources) in [("a,b", 1), ("a", 2), ("a,", 2), (" ", 1)] {
            assert!(misfit(text, sources).is_some(), "{text}");
        }
        assert_eq!(compared(&SyncStatus::default()), None);
    }
}
