//! Ranges of semantic versions in place of a revision: the newest tag within one counts, as with Argo CD.
//!
//! Argo CD reads them with Masterminds/semver: `^1.2`, `~1.2`, `1.2.*`, `>=1.0 <2.0`, `1.x || 2.x`, with or without `v`. Versions before a
//! release count only where the range names one (`>=1.0.0-0`).

use semver::{Prerelease, Version, VersionReq};

/// What makes a text a range, and no name of a branch or tag that one would give.
const MARKS: [char; 6] = ['^', '~', '>', '<', '=', '*'];

/// Any of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    wanted: VersionReq,
    /// Whether versions before a release count.
    early: bool,
}

impl Range {
    /// Reads a range; none where the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let has_wildcard = text.split(['.', ' ', '|', ',']).any(|part| matches!(part, "x" | "X"));
        if !text.contains(MARKS) && !has_wildcard {
            return None;
        }
        let parts = text.split("||").map(|part| {
            let wanted = VersionReq::parse(&comparators(part)).ok()?;
            let early = wanted.comparators.iter().any(|one| !one.pre.is_empty());
            Some(Part { wanted, early })
        });
        parts.collect::<Option<Vec<_>>>().map(Self)
    }

    fn contains(&self, version: &Version) -> bool {
        let released = Version { pre: Prerelease::EMPTY, ..version.clone() };
        self.0.iter().any(|part| {
            part.wanted.matches(version)
                || (part.early && !version.pre.is_empty() && part.wanted.matches(&released))
        })
    }

    /// The newest tag within the range.
    pub fn newest<'a>(&self, tags: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let versions = tags.filter_map(|tag| Some((version(tag)?, tag)));
        let within = versions.filter(|(version, _)| self.contains(version));
        within.max().map(|(_, tag)| tag)
    }
}

/// The comparators as the library has them: with commas between, and without `v`.
fn comparators(part: &str) -> String {
    let part = part.replace("=>", ">=").replace("=<", "<=");
    let words = part.split([',', ' ']).filter(|word| !word.is_empty());
    let mut all: Vec<String> = Vec::new();
    for word in words {
        let word: String = match word.find(|c: char| !matches!(c, '^' | '~' | '>' | '<' | '=')) {
            Some(at) => {
                let (operator, version) = word.split_at(at);
                format!("{operator}{}", version.trim_start_matches('v'))
            }
            None => word.to_owned(),
        };
        // An operator that stands alone belongs to what follows.
        match all.last_mut().filter(|last| last.ends_with(['^', '~', '>', '<', '='])) {
            Some(last) => last.push_str(&word),
            // A bare version is meant exactly, and not as Cargo means it.
            None if word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(['*', 'x', 'X']) => {
                all.push(format!("={word}"));
            }
            None => all.push(word),
        }
    }
    all.join(", ")
}

/// A tag as a version; `v1.2` is 1.2.0.
fn version(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = 2_usize.checked_sub(numbers.matches('.').count())?;
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: [&str; 9] =
        ["v1.0.0", "v1.2.0", "v1.2.9", "v1.10.1", "2.0.0-rc.1", "v2.0.0", "v2.1", "nightly", "v3.0.0-beta.2"];

    fn newest(range: &str) -> Option<&'static str> {
        Range::read(range).and_then(|range| range.newest(TAGS.into_iter()))
    }

    #[test]
    fn the_newest_tag_within_a_range_counts() {
        for (range, tag) in [
            ("^1.2", Some("v1.10.1")),
            ("~1.2", Some("v1.2.9")),
            ("1.2.*", Some("v1.2.9")),
            ("v1.2.x", Some("v1.2.9")),
            ("v1.*", Some("v1.10.1")),
            (">=1.0.0 <1.10.0", Some("v1.2.9")),
            (">= 1.0, < 2", Some("v1.10.1")),
            ("~1.2 || 2.0.*", Some("v2.0.0")),
            ("*", Some("v2.1")),
            (">2.1", None),
            (">=2.1.0-0", Some("v3.0.0-beta.2")),
            ("<2.0.0", Some("v1.10.1")),
            ("=1.0.0", Some("v1.0.0")),
        ] {
            assert_eq!(newest(range), tag, "{range}");
        }
    }

    #[test]
    fn names_of_branches_and_tags_are_no_ranges() {
        for name in [
            "main",
            "v1.2.3",
            "1.2",
            "HEAD",
            "release-1.x.y",
            "feature/x-y",
            "0123abc",
            "refs/tags/v1",
            "!=1.0",
        ] {
            assert_eq!(Range::read(name).map(|_| ()), None, "{name}");
        }
    }
}
