//! Hooks: objects that run at a point of a sync, as Argo CD has them, and Helm's in its words.
//!
//! What a hook has come to is read from what was written down of it, and from the live object, which carries the
//! attempt that made it: whoever was killed in between finds it again, and makes no second one.

use mlp_health::{Health, Level};

/// Annotation that makes an object a hook.
pub const HOOK: &str = "argocd.argoproj.io/hook";
/// The same in Helm's words; counts where Argo CD's is not there.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// When a hook is deleted.
pub const DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// The same in Helm's words; adds to Argo CD's.
pub const HELM_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// Helm's wave.
pub const HELM_WEIGHT: &str = "helm.sh/hook-weight";
/// The attempt of a sync that made a live hook.
pub const ATTEMPT: &str = "mlplatform.dev/sync-attempt";
/// A Job that is a hook is kept at least so long after its end, in seconds: whoever was away meanwhile still sees
/// what came of it. Argo CD has a finalizer for that, which stays where nobody takes it off.
pub const KEPT: i64 = 600;

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before anything is applied.
    PreSync,
    /// With what is applied, by wave.
    Sync,
    /// After all is applied and healthy.
    PostSync,
    /// After a sync has failed.
    SyncFail,
    /// Before the objects of an Application go with it.
    PreDelete,
    /// After they are gone.
    PostDelete,
}

impl Phase {
    /// The word that Argo CD writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
            Self::PreDelete => "PreDelete",
            Self::PostDelete => "PostDelete",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// When an object runs, and when it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    phases: u8,
    /// Deleted once the sync has succeeded.
    pub on_success: bool,
    /// Deleted once the sync has failed.
    pub on_failure: bool,
    /// The one of an earlier sync is deleted before a new one is made.
    pub before: bool,
}

impl Hook {
    /// Whether it runs then.
    pub const fn runs_in(self, phase: Phase) -> bool {
        self.phases & phase.bit() != 0
    }

    /// Whether it runs in a sync: one that is skipped, or is for another time, does not.
    pub const fn runs_in_sync(self) -> bool {
        self.phases & !Self::AT_THE_END != 0
    }

    /// Whether it runs at the end of its Application.
    pub const fn runs_at_the_end(self) -> bool {
        self.phases & Self::AT_THE_END != 0
    }

    const AT_THE_END: u8 = Phase::PreDelete.bit() | Phase::PostDelete.bit();

    /// Reads the annotations of an object; none where it is no hook.
    ///
    /// # Errors
    /// The annotation and the word in it that is not known.
    pub fn read<'a>(
        annotation: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Option<Self>, (&'static str, String)> {
        let mut hook = Self::default();
        if let Some(words) = annotation(HOOK) {
            for word in listed(words) {
                hook.phases |= match word {
                    "PreSync" => Phase::PreSync.bit(),
                    "Sync" => Phase::Sync.bit(),
                    "PostSync" => Phase::PostSync.bit(),
                    "SyncFail" => Phase::SyncFail.bit(),
                    "PreDelete" => Phase::PreDelete.bit(),
                    "PostDelete" => Phase::PostDelete.bit(),
                    "Skip" => 0,
                    other => return Err((HOOK, other.to_owned())),
                };
            }
        } else if let Some(words) = annotation(HELM_HOOK) {
            let words: Vec<_> = listed(words).collect();
            // Argo CD takes it for an ordinary object.
            if words == ["crd-install"] {
                return Ok(None);
            }
            for word in words {
                hook.phases |= match word {
                    "pre-install" | "pre-upgrade" => Phase::PreSync.bit(),
                    "post-install" | "post-upgrade" => Phase::PostSync.bit(),
                    "pre-delete" => Phase::PreDelete.bit(),
                    "post-delete" => Phase::PostDelete.bit(),
                    "pre-rollback" | "post-rollback" | "test" | "test-success" | "test-failure"
                    | "crd-install" => 0,
                    other => return Err((HELM_HOOK, other.to_owned())),
                };
            }
        } else {
            return Ok(None);
        }
        for word in annotation(DELETE_POLICY).map(listed).into_iter().flatten() {
            match word {
                "HookSucceeded" => hook.on_success = true,
                "HookFailed" => hook.on_failure = true,
                "BeforeHookCreation" => hook.before = true,
                other => return Err((DELETE_POLICY, other.to_owned())),
            }
        }
        for word in annotation(HELM_DELETE_POLICY).map(listed).into_iter().flatten() {
            match word {
                "hook-succeeded" => hook.on_success = true,
                "hook-failed" => hook.on_failure = true,
                "before-hook-creation" => hook.before = true,
                other => return Err((HELM_DELETE_POLICY, other.to_owned())),
            }
        }
        if !(hook.on_success || hook.on_failure || hook.before) {
            hook.before = true;
        }
        Ok(Some(hook))
    }
}

fn listed(words: &str) -> impl Iterator<Item = &str> {
    words.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// A hook's object as it is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The attempt that made it; empty where none says so.
    pub attempt: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its health, where its kind has one.
    pub health: Option<Health>,
}

/// What a hook has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is to be made.
    Due,
    /// The one of an earlier sync is in its place, and is to be deleted before.
    InTheWay,
    /// It runs, or something is waited for; says what.
    Runs(String),
    /// It did what it should.
    Succeeded,
    /// It did not; says why.
    Failed(String),
}

/// The words of a result's `hookPhase`.
pub mod word {
    /// It runs.
    pub const RUNNING: &str = "Running";
    /// It did what it should.
    pub const SUCCEEDED: &str = "Succeeded";
    /// It did not.
    pub const FAILED: &str = "Failed";
}

/// What came of a hook in an attempt: `recorded` is the word and the message that were written down.
pub fn progress(attempt: &str, recorded: Option<(&str, &str)>, live: Option<&Live>) -> Progress {
    match recorded {
        Some((word::SUCCEEDED, _)) => return Progress::Succeeded,
        Some((word::FAILED, message)) => return Progress::Failed(message.to_owned()),
        _ => {}
    }
    let Some(live) = live else {
        return match recorded {
            Some(_) => Progress::Failed("it was deleted while it ran".to_owned()),
            None => Progress::Due,
        };
    };
    if live.attempt != attempt {
        // What another attempt came to is nothing that this one did.
        return if live.deleting {
            Progress::Runs("the one of an earlier sync is being deleted".to_owned())
        } else {
            Progress::InTheWay
        };
    }
    match &live.health {
        None => Progress::Succeeded,
        Some(health) => match health.level {
            Level::Healthy => Progress::Succeeded,
            Level::Degraded | Level::Unknown => Progress::Failed(health.message.clone()),
            _ if live.deleting => Progress::Failed("it was deleted while it ran".to_owned()),
            _ => Progress::Runs(health.message.clone()),
        },
    }
}

impl Live {
    /// Whether it has come to an end.
    pub fn has_ended(&self) -> bool {
        let ends =
            |health: &Health| matches!(health.level, Level::Healthy | Level::Degraded | Level::Unknown);
        self.health.as_ref().is_none_or(ends)
    }
}

/// The name of a hook that has only the beginning of one, much as Argo CD makes it; the same for one attempt.
/// `number` tells hooks of one beginning apart.
pub fn generated_name(
    beginning: &str,
    revision: &str,
    phase: Phase,
    attempt: (&str, i64),
    number: usize,
) -> String {
    let short = revision.get(..7).unwrap_or(revision);
    let (started, retry) = attempt;
    let seconds = started.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_second).unwrap_or_default();
    let suffix = |number: i64| if number > 0 { format!("-{number}") } else { String::new() };
    let (retry, number) = (suffix(retry), suffix(i64::try_from(number).unwrap_or_default()));
    format!("{beginning}{short}-{}-{seconds}{retry}{number}", phase.as_str().to_lowercase())
}

#[cfg(test)]
mod tests;
