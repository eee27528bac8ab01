//! The audit log in CloudWatch, against moto: only what is new is read, each refusal once, and an outage or a
//! group that is not there yet is waited out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use jiff::Timestamp;
use mlp_aws::{Credentials, Source};
use mlp_harness::{Moto, wait_until};
use mlp_team_isolation::audit::{self, AuditLog, Refused};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const GROUP: &str = "/aws/eks/test/cluster";
const STREAM: &str = "kube-apiserver-audit-1";
const LIMIT: Duration = Duration::from_secs(30);

fn event(name: &str, code: u16, at: i64) -> InputLogEvent {
    let message = format!(
        "pods \"{name}\" is forbidden: ValidatingAdmissionPolicy 'mlp-pods' with binding 'mlp-pods' denied request: image-tag: x"
    );
    let line = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete", "verb": "create",
        "user": {"username": "eve"}, "objectRef": {"resource": "pods", "namespace": "ml-team", "name": name, "apiVersion": "v1"},
        "responseStatus": {"code": code, "message": message}, "stageTimestamp": "2026-01-01T00:00:00.000000Z",
    });
    InputLogEvent::builder().timestamp(at).message(line.to_string()).build().unwrap()
}

async fn put(client: &Client, stream: &str, events: Vec<InputLogEvent>) {
    let put = client.put_log_events().log_group_name(GROUP).log_stream_name(stream);
    put.set_log_events(Some(events)).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_read_from_cloudwatch_each_once() {
    let moto = Moto::start().await.unwrap();
    let credentials =
        Credentials::builder().access_key_id("test").secret_access_key("test").provider_name("test").build();
    let source = Source {
        endpoint: Some(moto.endpoint.clone()),
        region: Some("us-west-2".to_owned()),
        credentials: Some(credentials),
    };
    let client = Client::new(&mlp_aws::load(&source).await.unwrap());
    let found: Arc<Mutex<Vec<Refused>>> = Arc::default();
    let (stop, heard) = (CancellationToken::new(), found.clone());
    let log = AuditLog::CloudWatch { group: GROUP.to_owned(), source };
    // It begins before there is a group: a cluster's first events make it.
    let following =
        tokio::spawn(audit::follow(log, stop.clone(), move |refused| heard.lock().unwrap().push(refused)));

    client.create_log_group().log_group_name(GROUP).send().await.unwrap();
    for stream in [STREAM, "kube-scheduler-1"] {
        client.create_log_stream().log_group_name(GROUP).log_stream_name(stream).send().await.unwrap();
    }
    let now = Timestamp::now().as_millisecond();
    let old = event("old", 403, now - 3_600_000);
    put(&client, STREAM, vec![old, event("first", 403, now), event("admitted", 201, now + 1)]).await;
    put(&client, "kube-scheduler-1", vec![event("elsewhere", 403, now)]).await;
    let names = || found.lock().unwrap().iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let has = async |count: usize| {
        wait_until(LIMIT, &format!("{count} refusals"), || async { (names().len() >= count).then_some(()) })
            .await
    };
    has(1).await.unwrap();
    // One that is older by its own time, and arrives after the first was read.
    put(&client, STREAM, vec![event("late", 403, now - 10_000), event("second", 403, now + 2)]).await;
    has(3).await.unwrap();
    // Two more looks would bring what is read twice.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut all = names();
    all.sort();
    assert_eq!(all, ["first", "late", "second"]);
    assert!(found.lock().unwrap().iter().all(|one| one.refusal.rule == "image-tag" && one.user == "eve"));
    stop.cancel();
    following.await.unwrap();
}
