//! Whose a host is: no two teams own overlapping names.
//!
//! Admission sees one object at a time, so uniqueness is decided here, between Teams. Who holds a name
//! keeps it; a name that nobody holds goes to the oldest Team that wants it.

use super::claims::Claimant;

/// A team, with the hosts it wants and those it has been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostClaim {
    /// Who.
    pub claimant: Claimant,
    /// Hosts in its declaration.
    pub wanted: Vec<String>,
    /// Hosts that its namespaces carry.
    pub held: Vec<String>,
}

/// A host that a team does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The host.
    pub host: String,
    /// Who has it, or one that overlaps.
    pub team: String,
    /// The other's host.
    pub theirs: String,
}

/// The hosts of `team` that belong to others.
pub fn refused(team: &HostClaim, others: &[HostClaim]) -> Vec<Refused> {
    let rivals = || others.iter().filter(|other| other.claimant.uid != team.claimant.uid);
    let of = |host: &String| {
        let holder = rivals().find_map(|other| Some((other, overlapping(host, &other.held)?)));
        let elder = || {
            let older = |other: &&HostClaim| {
                (&other.claimant.created, &other.claimant.uid) < (&team.claimant.created, &team.claimant.uid)
            };
            rivals()
                .filter(|other| !other.claimant.leaving)
                .filter(older)
                .find_map(|other| Some((other, overlapping(host, &other.wanted)?)))
        };
        let holds_itself = overlapping(host, &team.held).is_some();
        let (other, theirs) = holder.or_else(|| if holds_itself { None } else { elder() })?;
        Some(Refused { host: host.clone(), team: other.claimant.team.clone(), theirs })
    };
    team.wanted.iter().filter_map(of).collect()
}

/// The first of `hosts` that covers `host`, or is covered by it.
fn overlapping(host: &str, hosts: &[String]) -> Option<String> {
    let covers = |wide: &str, narrow: &str| {
        wide == narrow || narrow.strip_suffix(wide).is_some_and(|rest| rest.ends_with('.'))
    };
    hosts.iter().find(|other| covers(other, host) || covers(host, other)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(team: &str, created: &str, wanted: &[&str], held: &[&str]) -> HostClaim {
        let owned = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
        HostClaim {
            claimant: Claimant {
                team: team.to_owned(),
                created: created.to_owned(),
                uid: format!("u-{team}"),
                leaving: false,
                namespaces: Vec::new(),
            },
            wanted: owned(wanted),
            held: owned(held),
        }
    }

    #[test]
    fn the_oldest_gets_a_free_name_and_whoever_holds_one_keeps_it() {
        let old = |held: &[&str]| claim("ml", "2026-01-01T00:00:00Z", &["ml.example.com"], held);
        let young = |held: &[&str]| {
            claim("app", "2026-02-01T00:00:00Z", &["api.ml.example.com", "app.example.com"], held)
        };
        let lost = |team: &HostClaim, other: HostClaim| {
            refused(team, &[other]).into_iter().map(|it| it.host).collect::<Vec<_>>()
        };
        assert_eq!(lost(&young(&[]), old(&[])), ["api.ml.example.com"]);
        assert!(lost(&old(&[]), young(&[])).is_empty());
        assert_eq!(
            lost(&old(&[]), young(&["api.ml.example.com"])),
            ["ml.example.com"],
            "held by the younger"
        );
        assert!(lost(&young(&["api.ml.example.com"]), old(&[])).is_empty());
    }

    #[test]
    fn a_name_that_only_ends_alike_does_not_overlap() {
        let team = claim("a", "1", &["xml.example.com"], &[]);
        assert!(refused(&team, &[claim("b", "0", &["ml.example.com"], &["ml.example.com"])]).is_empty());
    }
}
