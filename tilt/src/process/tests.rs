//! Processes start, become ready, are found again and stop, with real shells.

use super::*;

fn shell(folder: &Path, script: &str) -> Spec {
    Spec {
        name: "shell".into(),
        program: "sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: BTreeMap::new(),
        log: folder.join("shell.log"),
        record: Some(folder.join("shell.json")),
    }
}

#[tokio::test]
async fn a_process_is_found_by_its_record_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let spec = shell(folder.path(), "echo up; exec sleep 600");
    let mut process = Process::spawn(&spec).unwrap();
    let record = spec.record.clone().unwrap();
    process.ready(Duration::from_secs(5), || async { tail(&spec.log, 1) == "up" }).await.unwrap();
    let found = Process::attach("shell", &record, &spec.log).unwrap();
    assert_eq!(found.identity(), process.identity());
    process.stop(Duration::from_secs(5)).await.unwrap();
    assert!(!record.exists());
    assert!(Process::attach("shell", &record, &spec.log).is_none());
}

#[tokio::test]
async fn one_that_ignores_the_request_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let spec = shell(folder.path(), "trap '' TERM; sleep 600 & echo $!; wait");
    let mut process = Process::spawn(&spec).unwrap();
    process.ready(Duration::from_secs(5), || async { !tail(&spec.log, 1).is_empty() }).await.unwrap();
    let grandchild = Identity::of(tail(&spec.log, 1).parse().unwrap()).unwrap();
    process.stop(Duration::from_millis(100)).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while grandchild.is_alive() && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
    assert!(!grandchild.is_alive());
}

#[tokio::test]
async fn an_early_end_shows_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::spawn(&shell(folder.path(), "sleep 0.1; echo broken flag; exit 2")).unwrap();
    let error = process.ready(Duration::from_secs(5), || async { false }).await.unwrap_err();
    assert!(error.to_string().contains("broken flag"), "{error}");
}

#[tokio::test]
async fn a_process_that_is_never_ready_runs_into_its_named_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::spawn(&shell(folder.path(), "exec sleep 600")).unwrap();
    let error = process.ready(Duration::from_millis(200), || async { false }).await.unwrap_err();
    assert!(matches!(error, ProcessError::NotReady { .. }), "{error}");
    process.kill_now();
}
