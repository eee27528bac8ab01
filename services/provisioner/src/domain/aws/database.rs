//! The decision about a database: RDS.

use super::check::{self, Refusal};
use super::names;
use super::seen::Seen;
use super::step::{CreateDatabase, DatabaseChange, Step, When};
use super::version::Version;
use super::{changing, quantity, running, size, summary};
use crate::domain::model::Wish;
use crate::domain::plan::{Plan, State};
use mlp_model::Environment;

const GIB: u64 = 1 << 30;
/// RDS' least for general purpose storage; a smaller wish is a floor that this meets.
const STORAGE_MIN_GIB: u64 = 20;
/// RDS' most for PostgreSQL.
const STORAGE_MAX_GIB: u64 = 65_536;

/// What a status of RDS means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Can be changed.
    Steady,
    /// Accepts connections while AWS works on it.
    Working,
    /// Does not accept connections now, and will by itself.
    Coming,
    /// Full: may only grow.
    Full,
    /// Somebody must repair something.
    Broken,
    /// Lost; AWS takes no snapshot of it.
    Dead,
    /// Being deleted.
    Leaving,
}

impl Life {
    /// Sorts RDS' statuses; one that is not known is taken as work in progress.
    pub fn of(status: &str) -> Self {
        match status {
            "available" => Self::Steady,
            "creating" | "rebooting" | "starting" | "stopping" | "moving-to-vpc" | "converting-to-vpc" => {
                Self::Coming
            }
            "storage-full" => Self::Full,
            "stopped"
            | "restore-error"
            | "incompatible-parameters"
            | "incompatible-option-group"
            | "incompatible-credentials"
            | "inaccessible-encryption-credentials"
            | "inaccessible-encryption-credentials-recoverable"
            | "insufficient-capacity"
            | "unsupported-configuration" => Self::Broken,
            "failed" | "incompatible-restore" | "incompatible-network" => Self::Dead,
            "deleting" | "deleted" => Self::Leaving,
            _ => Self::Working,
        }
    }
}

/// What brings RDS to `wish`; `seen` is ours.
pub(super) fn decide(wish: &Wish, id: String, seen: Option<&Seen>) -> Result<Plan<Step>, Refusal> {
    check::database(wish)?;
    let wanted = Wanted::of(wish)?;
    let Some(seen) = seen else {
        let step = create(wish, id, wanted);
        return Ok(Plan { state: State::Creating(step.to_string()), steps: vec![step] });
    };
    let status = &seen.status;
    Ok(match Life::of(status) {
        Life::Steady => steady(wish, id, seen, wanted)?,
        Life::Working => Plan::rest(changing(seen, reports(status))),
        Life::Coming => Plan::rest(State::Creating(reports(status))),
        Life::Leaving => Plan::rest(State::Creating(format!(
            "RDS deletes {id}, which nobody asked us for; it is made again afterwards"
        ))),
        Life::Full => full(id, seen, &wanted),
        Life::Broken | Life::Dead => Plan::rest(broken(&id, status)),
    })
}

/// What removes it; `seen` is ours and not protected by its request.
pub(super) fn remove(wish: &Wish, id: String, seen: &Seen) -> Plan<Step> {
    let keep = names::keeps(wish);
    let status = &seen.status;
    match Life::of(status) {
        Life::Leaving => return Plan::rest(State::Deleting(reports(status))),
        Life::Working | Life::Coming => {
            let why = format!("{}; it can be deleted once that is over", reports(status));
            return Plan::rest(State::Deleting(why));
        }
        // AWS would refuse the snapshot, and without one the data would be lost.
        Life::Broken if keep && status != "stopped" => return Plan::rest(broken(&id, status)),
        Life::Steady | Life::Full | Life::Broken | Life::Dead => {}
    }
    let step = if seen.deletion_protection {
        let change = DatabaseChange { deletion_protection: Some(false), ..DatabaseChange::default() };
        Step::ModifyDatabase { id, change, at: When::Window }
    } else {
        Step::DeleteDatabase { id, keep: keep && Life::of(status) != Life::Dead }
    };
    Plan { state: State::Deleting(step.to_string()), steps: vec![step] }
}

/// The wish in AWS' words.
struct Wanted {
    class: String,
    storage_gib: u64,
    version: Version,
}

impl Wanted {
    fn of(wish: &Wish) -> Result<Self, Refusal> {
        let class = size::database_class(wish).ok_or_else(|| Refusal::TooLarge {
            cpu: wish.size.cpu.to_string(),
            memory: wish.size.memory.to_string(),
        })?;
        let written = wish.storage.as_deref().unwrap_or_default();
        let storage_gib = quantity::whole(written)
            .map(|bytes| bytes.div_ceil(GIB).max(STORAGE_MIN_GIB))
            .filter(|gib| *gib <= STORAGE_MAX_GIB)
            .ok_or_else(|| Refusal::Storage(written.to_owned()))?;
        let version = Version::parse(&wish.version).unwrap_or(Version { major: 0, minor: None });
        Ok(Self { class, storage_gib, version })
    }
}

fn create(wish: &Wish, id: String, wanted: Wanted) -> Step {
    Step::CreateDatabase(CreateDatabase {
        tags: names::tags(wish),
        id,
        class: wanted.class,
        engine: wish.engine.as_str(),
        version: wish.version.clone(),
        storage_gib: wanted.storage_gib,
        max_storage_gib: limit(wanted.storage_gib),
        database_name: wish.database.clone().unwrap_or_default(),
        username: wish.username.clone(),
        high_availability: wish.high_availability,
        retention_days: wish.retention_days,
        deletion_protection: wish.protected,
    })
}

/// RDS may double the storage by itself.
fn limit(storage_gib: u64) -> u64 {
    (storage_gib * 2).min(STORAGE_MAX_GIB)
}

fn steady(wish: &Wish, id: String, seen: &Seen, wanted: Wanted) -> Result<Plan<Step>, Refusal> {
    let change = difference(wish, seen, wanted)?;
    let mut steps = Vec::new();
    if change != DatabaseChange::default() {
        // To apply at once would also apply whatever AWS holds for the window.
        let at_once = wish.environment == Environment::Dev && !seen.pending.any();
        let at = if at_once { When::Now } else { When::Window };
        steps.push(Step::ModifyDatabase { id, change, at });
    }
    let tags = seen.missing_tags(&names::tags(wish));
    if !tags.is_empty() {
        steps.push(Step::TagDatabase { arn: seen.arn.clone(), tags });
    }
    let state = match running(seen) {
        None => State::Creating("RDS has not said yet where it listens".to_owned()),
        Some(running) if !steps.is_empty() => State::Updating(running, summary(&steps)),
        Some(running) if seen.pending.any() => {
            State::Updating(running, "changes wait for the maintenance window".to_owned())
        }
        Some(running) => State::Ready(running),
    };
    Ok(Plan { steps, state })
}

/// What differs from the wish, counting what AWS has accepted as done.
fn difference(wish: &Wish, seen: &Seen, wanted: Wanted) -> Result<DatabaseChange, Refusal> {
    let pending = &seen.pending;
    let mut change = DatabaseChange::default();
    if *pending.class.as_ref().unwrap_or(&seen.class) != wanted.class {
        change.class = Some(wanted.class);
    }
    let storage = pending.storage_gib.unwrap_or(seen.storage_gib);
    if storage < wanted.storage_gib {
        // RDS refuses to grow by less than a tenth.
        let grown = wanted.storage_gib.max((storage * 11).div_ceil(10)).min(STORAGE_MAX_GIB);
        change.storage_gib = Some(grown);
        change.max_storage_gib = (seen.max_storage_gib < limit(grown)).then(|| limit(grown));
    }
    let standby = pending.high_availability.unwrap_or(seen.high_availability);
    change.high_availability = (standby != wish.high_availability).then_some(wish.high_availability);
    let retention = pending.retention_days.unwrap_or(seen.retention_days);
    change.retention_days = (retention != wish.retention_days).then_some(wish.retention_days);
    change.deletion_protection = (seen.deletion_protection != wish.protected).then_some(wish.protected);

    let runs = pending.version.as_ref().or(seen.version.as_ref());
    if let Some((text, runs)) = runs.and_then(|text| Some((text, Version::parse(text)?)))
        && !runs.satisfies(wanted.version)
    {
        if runs.major > wanted.version.major {
            return Err(Refusal::Downgrade { running: text.clone(), wanted: wish.version.clone() });
        }
        change.version = Some(wish.version.clone());
        change.major_upgrade = runs.major < wanted.version.major;
    }
    Ok(change)
}

/// Full storage: the only change that RDS takes is more of it.
fn full(id: String, seen: &Seen, wanted: &Wanted) -> Plan<Step> {
    if seen.pending.storage_gib.unwrap_or(seen.storage_gib) >= wanted.storage_gib {
        let message =
            format!("the storage of {id} is full; write more than {}Gi as spec.storage", seen.storage_gib);
        return Plan::rest(State::Failed { reason: "StorageFull", message });
    }
    let grown = wanted.storage_gib.max((seen.storage_gib * 11).div_ceil(10));
    let change = DatabaseChange {
        storage_gib: Some(grown),
        max_storage_gib: (seen.max_storage_gib < limit(grown)).then(|| limit(grown)),
        ..DatabaseChange::default()
    };
    let steps = vec![Step::ModifyDatabase { id, change, at: When::Now }];
    Plan { state: changing(seen, summary(&steps)), steps }
}

fn broken(id: &str, status: &str) -> State {
    let message = match status {
        "stopped" => format!("{id} was stopped in AWS; start it there"),
        "inaccessible-encryption-credentials" | "inaccessible-encryption-credentials-recoverable" => {
            format!("RDS cannot use the encryption key of {id}; enable the key in KMS again")
        }
        _ => format!("RDS reports `{status}` for {id}; the instance's events in AWS say what to repair"),
    };
    State::Failed { reason: "AwsReportsFailure", message }
}

fn reports(status: &str) -> String {
    format!("RDS reports `{status}`")
}
