use super::*;

fn read(annotations: &[(&str, &'static str)]) -> Result<Option<Hook>, (&'static str, String)> {
    Hook::read(|key| annotations.iter().find(|(known, _)| *known == key).map(|(_, value)| *value))
}

#[test]
fn argo_cd_and_helm_say_when_in_their_own_words() {
    let phases = |annotations: &[(&str, &'static str)]| {
        let hook = read(annotations).unwrap().unwrap();
        let all = [Phase::PreSync, Phase::Sync, Phase::PostSync, Phase::SyncFail];
        all.into_iter().filter(|phase| hook.runs_in(*phase)).map(Phase::as_str).collect::<Vec<_>>().join(",")
    };
    assert_eq!(phases(&[(HOOK, "PreSync, SyncFail")]), "PreSync,SyncFail");
    assert_eq!(phases(&[(HELM_HOOK, "pre-install,pre-upgrade")]), "PreSync");
    assert_eq!(phases(&[(HELM_HOOK, "post-upgrade"), (HOOK, "Sync")]), "Sync", "Argo CD's own counts");
    for (annotation, when) in [
        (HELM_HOOK, "test"),
        (HELM_HOOK, "pre-delete"),
        (HELM_HOOK, "post-rollback"),
        (HOOK, "Skip"),
        (HOOK, "PostDelete"),
    ] {
        let hook = read(&[(annotation, when)]).unwrap().unwrap();
        let ends = matches!(when, "pre-delete" | "PostDelete");
        assert_eq!((hook.runs_in_sync(), hook.runs_at_the_end()), (false, ends), "{when}");
    }
    let both = read(&[(HOOK, "PostSync, PreDelete")]).unwrap().unwrap();
    assert!(both.runs_in_sync() && both.runs_in(Phase::PreDelete) && !both.runs_in(Phase::PostDelete));
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[(HELM_HOOK, "crd-install")]), Ok(None));
    assert_eq!(read(&[(HOOK, "Later")]), Err((HOOK, "Later".to_owned())));
    assert_eq!(read(&[(HELM_HOOK, "pre-flight")]), Err((HELM_HOOK, "pre-flight".to_owned())));
}

#[test]
fn policies_of_both_add_up_and_the_default_makes_room() {
    let policies = |annotations: &[(&str, &'static str)]| {
        let hook = read(&[&[(HOOK, "Sync")], annotations].concat()).unwrap().unwrap();
        (hook.on_success, hook.on_failure, hook.before)
    };
    assert_eq!(policies(&[]), (false, false, true));
    assert_eq!(policies(&[(DELETE_POLICY, "HookSucceeded")]), (true, false, false));
    assert_eq!(
        policies(&[(DELETE_POLICY, "HookSucceeded"), (HELM_DELETE_POLICY, "hook-failed")]),
        (true, true, false)
    );
    assert!(read(&[(HOOK, "Sync"), (DELETE_POLICY, "Never")]).is_err());
}

fn live(attempt: &str, level: Option<Level>, deleting: bool) -> Live {
    let health = level.map(|level| Health::new(level, "why"));
    Live { attempt: attempt.to_owned(), deleting, health }
}

#[test]
fn what_is_written_down_counts_before_what_is_live() {
    let failed = live("a", Some(Level::Degraded), false);
    assert_eq!(progress("a", Some((word::SUCCEEDED, "")), Some(&failed)), Progress::Succeeded);
    assert_eq!(progress("a", Some((word::FAILED, "x")), None), Progress::Failed("x".into()));
    let gone = progress("a", Some((word::RUNNING, "")), None);
    assert_eq!(gone, Progress::Failed("it was deleted while it ran".into()));
}

#[test]
fn a_live_hook_is_of_this_attempt_or_in_the_way() {
    use Level::{Degraded, Healthy, Progressing, Suspended};
    let of = |live: &Live| progress("a", None, Some(live));
    assert_eq!(progress("a", None, None), Progress::Due);
    for (level, expected) in [
        (None, Progress::Succeeded),
        (Some(Healthy), Progress::Succeeded),
        (Some(Progressing), Progress::Runs("why".into())),
        (Some(Suspended), Progress::Runs("why".into())),
        (Some(Degraded), Progress::Failed("why".into())),
    ] {
        assert_eq!(of(&live("a", level, false)), expected, "{level:?}: made by whoever was killed");
        assert_eq!(of(&live("b", level, false)), Progress::InTheWay, "{level:?}: of an earlier sync");
    }
    assert!(matches!(of(&live("a", Some(Progressing), true)), Progress::Failed(_)));
    assert!(matches!(of(&live("b", Some(Healthy), true)), Progress::Runs(_)));
    assert!(matches!(of(&live("a", Some(Level::Unknown), false)), Progress::Failed(_)), "it cannot be told");
}

#[test]
fn a_generated_name_is_the_same_for_one_attempt() {
    let name =
        |attempt, number| generated_name("migrate-", "0123456789abcdef", Phase::PreSync, attempt, number);
    let first = ("2026-01-01T00:00:00Z", 0);
    assert_eq!(name(first, 0), "migrate-0123456-presync-1767225600");
    assert_eq!(name((first.0, 1), 2), "migrate-0123456-presync-1767225600-1-2");
    assert_ne!(name(first, 0), name(("2026-01-01T00:00:01Z", 0), 0));
}
