//! Whose a namespace is.
//!
//! A namespace that exists belongs to the team that its labels name, provided that this service put
//! them there; nobody takes it over, unless it is nobody's and offered to the team. A namespace that does not exist yet goes to the oldest Team
//! that names it. A team gets all of its namespaces or nothing is made for it.

use std::collections::BTreeMap;
use std::fmt;

use super::adoption;

/// One Team's wish for namespaces, as far as ownership is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The Team's name.
    pub team: String,
    /// Creation time, RFC 3339 in UTC with whole seconds, so that text order is time order.
    pub created: String,
    /// The Team's uid; decides between Teams of the same second.
    pub uid: String,
    /// Whether the Team is being deleted or suspended; it then claims nothing new.
    pub leaving: bool,
    /// Names of the namespaces it wants.
    pub namespaces: Vec<String>,
}

/// A namespace that exists, as far as ownership is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// uid of the namespace.
    pub uid: String,
    /// The team in its label, where this service is the field manager of that label.
    pub team: Option<String>,
    /// Who made it, as far as its metadata tells; for the message to people.
    pub made_by: Option<String>,
    /// The Team that it is offered to ([`super::adoption::address`]), by whoever may write the platform's keys.
    pub offered_to: Option<String>,
    /// What owns it, as its ownerReferences say.
    pub owner: Option<String>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

/// What stands between a team and one of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Another Team holds it, or claimed it first.
    OtherTeam {
        /// The namespace.
        namespace: String,
        /// The other Team.
        team: String,
    },
    /// Somebody outside the platform made it.
    Foreign {
        /// The namespace.
        namespace: String,
        /// Who, as far as its metadata tells.
        made_by: Option<String>,
    },
    /// It is offered to the team, and something in it must be put in order before.
    Hindered {
        /// What, with the namespace and the fix.
        why: String,
    },
    /// It is offered to the team, and something else owns it.
    Owned {
        /// The namespace.
        namespace: String,
        /// Kind and name of the owner.
        owner: String,
    },
    /// A team that has gone had it, and its names are kept from others for a time.
    Reserved {
        /// What: the team's name or a namespace.
        what: String,
        /// Name of the tombstone, which is the former team's.
        stone: String,
        /// Until when.
        until: String,
    },
    /// It is ours and on its way out; it can be made anew once it is gone.
    Terminating {
        /// The namespace.
        namespace: String,
    },
}

impl Obstacle {
    /// Whether time alone removes it.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Terminating { .. })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherTeam { namespace, team } => {
                write!(
                    formatter,
                    "namespace {namespace} belongs to team {team}; remove it from one of the two teams' spec.namespaces"
                )
            }
            Self::Foreign { namespace, made_by } => {
                let owner = made_by.as_deref().unwrap_or("somebody outside the platform");
                write!(
                    formatter,
                    "namespace {namespace} exists and was made by {owner}; choose another name in spec.namespaces, or have it adopted \
                     (`cargo mlp team adopt` shows what that would mean)"
                )
            }
            Self::Hindered { why } => formatter.write_str(why),
            Self::Owned { namespace, owner } => write!(
                formatter,
                "namespace {namespace} is owned by {owner}, which would change or delete it; take it out there (delete the \
                 owner with --cascade=orphan, or remove the ownerReference), then it is adopted"
            ),
            Self::Reserved { what, stone, until } => write!(
                formatter,
                "{what} was of a team {stone} that has gone, and is kept until {until} so that nobody inherits what is left of \
                 it elsewhere; choose another, or delete the TeamTombstone {stone}"
            ),
            Self::Terminating { namespace } => {
                write!(formatter, "namespace {namespace} is being deleted; it is made anew once it is gone")
            }
        }
    }
}

/// What stands between `team` and its namespaces; empty when all of them are its own or free.
pub fn obstacles(
    team: &Claimant,
    others: &[Claimant],
    existing: &BTreeMap<String, Existing>,
) -> Vec<Obstacle> {
    let wanted = team.namespaces.iter();
    wanted.filter_map(|namespace| obstacle(team, others, namespace, existing.get(namespace))).collect()
}

fn obstacle(
    team: &Claimant,
    others: &[Claimant],
    namespace: &str,
    maybe_existing: Option<&Existing>,
) -> Option<Obstacle> {
    let namespace = namespace.to_owned();
    match maybe_existing {
        Some(Existing { team: Some(holder), terminating, .. }) if *holder == team.team => {
            terminating.then_some(Obstacle::Terminating { namespace })
        }
        Some(Existing { team: Some(holder), .. }) => {
            Some(Obstacle::OtherTeam { namespace, team: holder.clone() })
        }
        Some(Existing { offered_to: Some(offered), terminating, owner, .. })
            if !team.leaving && *offered == adoption::address(&team.team, &team.uid) =>
        {
            if *terminating {
                return Some(Obstacle::Terminating { namespace });
            }
            owner.clone().map(|owner| Obstacle::Owned { namespace, owner })
        }
        Some(Existing { made_by, .. }) => Some(Obstacle::Foreign { namespace, made_by: made_by.clone() }),
        None => {
            let rivals = others.iter().filter(|other| {
                other.uid != team.uid && !other.leaving && other.namespaces.contains(&namespace)
            });
            let first = rivals.min_by(|a, b| seniority(a).cmp(&seniority(b)))?;
            let older = seniority(first) < seniority(team);
            older.then(|| Obstacle::OtherTeam { namespace, team: first.team.clone() })
        }
    }
}

fn seniority(claimant: &Claimant) -> (&str, &str) {
    (&claimant.created, &claimant.uid)
}

#[cfg(test)]
mod tests;
