//! What was found: the wanted objects with their live state, and the live objects that left git.

use super::consent::Consent;
use super::hook;
use super::identity::ObjectId;
use super::object_options::ObjectOptions;
use mlp_health::{Health, Level};

/// How a wanted object stands to the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Live and as wanted.
    Synced,
    /// Live and different.
    Modified,
    /// Not live.
    Missing,
    /// Its kind is not installed (yet).
    KindMissing,
    /// Live, and tracked by another Application: never taken over.
    Foreign(String),
}

/// One object that git wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Identity, namespace filled in.
    pub id: ObjectId,
    /// Options from its annotations.
    pub options: ObjectOptions,
    /// How it stands.
    pub presence: Presence,
    /// Health of the live object, where its kind has one.
    pub health: Option<Health>,
}

/// One live object with our tracking id that git no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Identity.
    pub id: ObjectId,
    /// Options from its annotations; options that cannot be read keep the object.
    pub options: ObjectOptions,
    /// Whether its deletion is under way.
    pub deleting: bool,
    /// Health of the live object.
    pub health: Option<Health>,
}

/// A live hook with our tracking id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveHook {
    /// Identity.
    pub id: ObjectId,
    /// What it has come to.
    pub live: hook::Live,
}

/// Everything found for one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Commit that `items` are of.
    pub revision: String,
    /// What git wants.
    pub items: Vec<Item>,
    /// Indexes into `items` by wave, in order of application.
    pub stages: Vec<(i64, Vec<usize>)>,
    /// What left git.
    pub extras: Vec<Extra>,
    /// Hooks that are live, of whatever sync.
    pub hooks: Vec<LiveHook>,
    /// Hooks that the sync under way may make: told before they are, so that the way out finds them.
    pub coming: Vec<ObjectId>,
    /// Live objects that are not ours, in the place of a hook.
    pub strangers: Vec<ObjectId>,
    /// What is wanted, in a digest: the same for commits that change nothing of it.
    pub content: String,
    /// Why the lists of live objects are not complete; nothing is deleted then.
    pub gaps: Vec<String>,
}

/// The words of `status.sync.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncWord {
    /// Live is as wanted.
    Synced,
    /// Something is missing, different or left over.
    OutOfSync,
    /// Cannot be told.
    Unknown,
}

impl SyncWord {
    /// The word that Argo CD writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::OutOfSync => "OutOfSync",
            Self::Unknown => "Unknown",
        }
    }
}

impl Picture {
    /// Whether live is as wanted.
    pub fn sync(&self) -> SyncWord {
        if !self.gaps.is_empty() {
            return SyncWord::Unknown;
        }
        let same = self.items.iter().all(|item| item.presence == Presence::Synced);
        if same && self.extras.iter().all(|extra| extra.options.ignores_extraneous) {
            SyncWord::Synced
        } else {
            SyncWord::OutOfSync
        }
    }

    /// Whether something besides deletions is to be done.
    pub fn has_changes(&self) -> bool {
        self.items.iter().any(|item| item.presence != Presence::Synced)
    }

    /// Whether something that left git can be deleted.
    pub fn has_prunable(&self) -> bool {
        self.extras.iter().any(|extra| extra.options.prune != Consent::Withheld && !extra.deleting)
    }

    /// Health of the whole.
    pub fn health(&self) -> Level {
        let live = |item: &&Item| !matches!(item.presence, Presence::Missing | Presence::KindMissing);
        let count = self.items.iter().filter(live).count();
        let all = self.items.iter().map(|item| item.health.as_ref());
        mlp_health::worst(
            all.chain(self.extras.iter().map(|extra| extra.health.as_ref())),
            count,
            self.items.len(),
        )
    }
}

/// Whether the next stage may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Open,
    /// Not yet; says for what.
    Wait(String),
    /// No, and waiting does not help.
    Failed(String),
}

/// Judges a stage after its objects were applied: all live and none still on its way.
pub fn gate<'a>(stage: impl Iterator<Item = &'a Item>) -> Gate {
    let mut waiting = None;
    for item in stage {
        match (&item.presence, item.health.as_ref()) {
            (Presence::KindMissing, _) => {
                let (kind, group) = (&item.id.kind, &item.id.api_version());
                waiting.get_or_insert(format!("waiting for kind {kind} of {group} to be installed"));
            }
            (_, Some(health)) if health.level == Level::Degraded => {
                return Gate::Failed(format!("{} is Degraded: {}", item.id, health.message));
            }
            (_, Some(health)) if matches!(health.level, Level::Progressing | Level::Missing) => {
                waiting
                    .get_or_insert(format!("waiting for healthy state of {}: {}", item.id, health.message));
            }
            _ => {}
        }
    }
    waiting.map_or(Gate::Open, Gate::Wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(presence: Presence, level: Option<Level>) -> Item {
        let id =
            ObjectId { kind: "Pod".into(), name: "p".into(), version: "v1".into(), ..ObjectId::default() };
        let health = level.map(|level| Health::new(level, "why"));
        Item { id, options: ObjectOptions::default(), presence, health }
    }

    #[test]
    fn a_picture_is_synced_only_when_nothing_is_missing_different_or_left() {
        let mut picture =
            Picture { items: vec![item(Presence::Synced, Some(Level::Healthy))], ..Picture::default() };
        assert_eq!((picture.sync(), picture.health()), (SyncWord::Synced, Level::Healthy));
        picture.extras.push(Extra {
            id: ObjectId::default(),
            options: ObjectOptions::default(),
            deleting: false,
            health: None,
        });
        assert_eq!((picture.sync(), picture.has_changes()), (SyncWord::OutOfSync, false));
        picture.gaps.push("list of apps/v1 failed".into());
        assert_eq!(picture.sync(), SyncWord::Unknown);
        let missing = Picture { items: vec![item(Presence::Missing, None)], ..Picture::default() };
        assert_eq!((missing.sync(), missing.health()), (SyncWord::OutOfSync, Level::Missing));
    }

    #[test]
    fn a_stage_waits_for_health_and_for_kinds_and_fails_on_degraded() {
        let gate_of = |presence, level| gate([item(presence, level)].iter());
        assert_eq!(gate_of(Presence::Synced, Some(Level::Healthy)), Gate::Open);
        assert_eq!(gate_of(Presence::Synced, None), Gate::Open);
        assert!(matches!(gate_of(Presence::Synced, Some(Level::Progressing)), Gate::Wait(_)));
        assert_eq!(
            gate_of(Presence::KindMissing, None),
            Gate::Wait("waiting for kind Pod of v1 to be installed".into())
        );
        assert_eq!(
            gate_of(Presence::Synced, Some(Level::Degraded)),
            Gate::Failed("Pod p is Degraded: why".into())
        );
    }
}
