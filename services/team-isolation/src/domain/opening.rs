//! Namespaces that members open by themselves: which may be, and what the Team then says.
//!
//! An opened namespace is an entry of `spec.namespaces` that names who opened it. All else follows as for a
//! declared one: it shares quota, policy and members, and goes only when it is empty.

use mlp_crds::Team;
use mlp_crds::team::{OffboardingPhase, SelfServiceSpec, TeamNamespace};
use mlp_model::Environment;

/// What a member asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The namespace's full name.
    pub name: String,
    /// Its environment, where it is not the platform's.
    pub environment: Option<Environment>,
    /// Percent of the team's quota that it shall always have.
    pub share: u32,
    /// Who asks.
    pub by: String,
}

/// Why a wish is not granted: the field of the request, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The field.
    pub field: &'static str,
    /// What is wrong and how to mend it.
    pub why: String,
}

/// The longest name of a namespace (RFC 1123).
const LONGEST: usize = 63;

/// Every opened namespace of the team, with the wished one among them.
///
/// # Errors
/// Each [`Objection`] to the wish. `teams` are the names of all teams.
pub fn open(team: &Team, wish: &Wish, teams: &[String]) -> Result<Vec<TeamNamespace>, Vec<Objection>> {
    let Some(rules) = team.spec.self_service.as_ref() else {
        return Err(vec![Objection {
            field: "team",
            why: "nobody opens namespaces in this team; have spec.selfService added to the Team".to_owned(),
        }]);
    };
    let mut objections = Vec::new();
    let mut object = |field, why| objections.push(Objection { field, why });
    if is_leaving(team) {
        object("team", "the team is on its way out".to_owned());
    }
    if let Some(why) = problem_of_name(team, &wish.name, teams) {
        object("name", why);
    }
    let is_declared = team.spec.namespaces.iter().any(|one| one.name == wish.name && one.opened_by.is_none());
    if is_declared {
        object("name", format!("namespace {} is declared in the Team; change it there", wish.name));
    }
    let mut opened: Vec<_> = opened(team).cloned().collect();
    let known = opened.iter().position(|one| one.name == wish.name);
    let most = usize::try_from(rules.namespaces).unwrap_or(usize::MAX);
    // Those that were closed and hold something still count.
    let declared = team.namespace_names();
    let status = team.status.iter().flat_map(|status| &status.namespaces).map(|one| one.name.as_str());
    let leaving = status.filter(|name| *name != wish.name && !declared.iter().any(|known| known == name));
    let taken: Vec<_> = opened.iter().map(|one| one.name.as_str()).chain(leaving).collect();
    if known.is_none() && taken.len() >= most {
        let (count, names) = (taken.len(), taken.join(", "));
        object(
            "name",
            format!(
                "the team has opened {count} of {most} namespaces ({names}); close one, or have spec.selfService.namespaces of the Team raised"
            ),
        );
    }
    if let Some(why) = problem_of_environment(rules, wish.environment) {
        object("environment", why);
    }
    if let Some(why) = problem_of_share(team, rules, wish) {
        object("share", why);
    }
    if !objections.is_empty() {
        return Err(objections);
    }
    let mut wanted = TeamNamespace {
        name: wish.name.clone(),
        environment: wish.environment,
        share: (wish.share > 0).then_some(wish.share),
        opened_by: Some(wish.by.clone()),
    };
    match known.and_then(|index| opened.get_mut(index)) {
        Some(there) => {
            wanted.opened_by = there.opened_by.take();
            *there = wanted;
        }
        None => opened.push(wanted),
    }
    Ok(opened)
}

/// Every opened namespace of the team but the one of this name; closing what is closed changes nothing.
///
/// # Errors
/// An [`Objection`] where the namespace is a declared one.
pub fn close(team: &Team, name: &str) -> Result<Vec<TeamNamespace>, Vec<Objection>> {
    let is_opened = opened(team).any(|one| one.name == name);
    if !is_opened && team.namespace_names().iter().any(|known| known == name) {
        let why = format!("namespace {name} is declared in the Team, not opened; have it removed there");
        return Err(vec![Objection { field: "name", why }]);
    }
    Ok(opened(team).filter(|one| one.name != name).cloned().collect())
}

/// The team without namespaces that members opened; nothing where one of `names` is declared.
pub fn without(team: &Team, names: &[String]) -> Option<Team> {
    let is_opened = |name: &String| opened(team).any(|one| one.name == *name);
    names.iter().all(is_opened).then(|| {
        let mut rest = team.clone();
        rest.spec.namespaces.retain(|one| !names.contains(&one.name));
        rest
    })
}

/// Entries of `spec.namespaces` that members opened.
pub fn opened(team: &Team) -> impl Iterator<Item = &TeamNamespace> {
    team.spec.namespaces.iter().filter(|one| one.opened_by.is_some())
}

fn is_leaving(team: &Team) -> bool {
    let phase = team.spec.offboarding.as_ref().map(|spec| spec.phase).unwrap_or_default();
    team.metadata.deletion_timestamp.is_some() || phase == OffboardingPhase::Suspended
}

/// A name must say whose the namespace is, and must not be one that another team would have.
fn problem_of_name(team: &Team, name: &str, teams: &[String]) -> Option<String> {
    let own = team.metadata.name.as_deref().unwrap_or_default();
    let is_label = name.len() <= LONGEST
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-');
    let rest = name.strip_prefix(own).and_then(|rest| rest.strip_prefix('-'));
    if !is_label || rest.is_none_or(str::is_empty) {
        return Some(format!(
            "write {own}- and lower-case letters, digits and inner hyphens, {LONGEST} in all, such as {own}-scratch"
        ));
    }
    if name.ends_with("-team") {
        return Some(
            "a name that ends in -team is the first namespace of a team; choose another ending".to_owned(),
        );
    }
    // The longest name that fits decides whose it is: `ml-data-lab` is of team ml-data where there is one.
    let closer = teams.iter().find(|other| {
        other.len() > own.len() && name.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('-'))
    });
    closer.map(|other| format!("names that start with {other}- are of team {other}; choose another"))
}

fn problem_of_environment(rules: &SelfServiceSpec, wished: Option<Environment>) -> Option<String> {
    let wished = wished?;
    if rules.environments.contains(&wished) {
        return None;
    }
    let open: Vec<_> = rules.environments.iter().map(|one| one.as_str()).collect();
    Some(if open.is_empty() {
        format!(
            "{wished} is not open to the team's own namespaces; leave it out, or have it added to the Team at spec.selfService.environments"
        )
    } else {
        format!("{wished} is not open to the team's own namespaces; choose one of {}", open.join(", "))
    })
}

fn problem_of_share(team: &Team, rules: &SelfServiceSpec, wish: &Wish) -> Option<String> {
    if wish.share > rules.share {
        return Some(format!(
            "{} percent is more than spec.selfService.share of the Team admits ({}); lower it, the rest is lent by demand",
            wish.share, rules.share
        ));
    }
    let others = team.spec.namespaces.iter().filter(|one| one.name != wish.name);
    let taken: u32 = others.filter_map(|one| one.share).sum();
    let left = 100_u32.saturating_sub(taken);
    (wish.share > left).then(|| {
        format!("{left} percent are left of the team's quota, {} are asked for; lower it", wish.share)
    })
}

#[cfg(test)]
mod tests;
