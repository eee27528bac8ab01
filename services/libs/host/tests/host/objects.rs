//! A service's API as a face of its resources: rights, pages, writes with their flow, watches.

use futures::StreamExt as _;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use mlp_host::grpc::{Authorizer, Change, Changed, Identity, Objects};
use mlp_host::telemetry::Telemetry;
use mlp_reconcile::testing::{Call, Feed, MockApi};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::trace::InMemorySpanExporter;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::fake_api::FakeApi;
use crate::support::{LIMIT, args};

const ALL: &str = "/apis/networking.k8s.io/v1/namespaces/ml-team/networkpolicies";
const ONE: &str = "/apis/networking.k8s.io/v1/namespaces/ml-team/networkpolicies/deny";

/// The objects, an API server that expects calls, and ada, who may do what `verbs` say.
fn objects(verbs: &[&str]) -> (Objects<NetworkPolicy>, MockApi, Request<()>) {
    let (rights, api) = (FakeApi::default(), MockApi::new());
    for verb in verbs {
        for name in ["deny", ""] {
            let right = format!("ada {verb} networking.k8s.io/networkpolicies ml-team/{name}");
            rights.state().allowed.insert(right);
        }
    }
    let mut request = Request::new(());
    request.extensions_mut().insert(Identity { user: "ada".to_owned(), ..Identity::default() });
    (Objects::new(api.client(), Authorizer::new(rights.client()), "test-api"), api, request)
}

fn policy(name: &str, generation: i64, annotations: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "ml-team", "generation": generation, "annotations": annotations},
        "spec": {"policyTypes": ["Ingress"]},
    })
}

fn spec() -> Value {
    json!({"policyTypes": ["Ingress"]})
}

#[tokio::test]
async fn what_a_caller_may_not_do_is_refused_before_any_call() {
    let (objects, api, request) = objects(&[]);
    let refusals = [
        objects.get(&request, "ml-team", "deny").await.map(|_| ()),
        objects.list(&request, "ml-team", 0, "").await.map(|_| ()),
        objects.watch(&request, "ml-team", "", "").await.map(|_| ()),
        objects.watch(&request, "ml-team", "", "7").await.map(|_| ()),
        objects.apply(&request, "ml-team", "deny", spec(), false).await.map(|_| ()),
        objects.delete(&request, "ml-team", "deny", "").await,
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().code(), Code::PermissionDenied);
    }
    api.verify().await;
}

#[tokio::test]
async fn changing_is_not_making_and_watching_is_not_listing() {
    let (objects, api, request) = objects(&["patch", "watch"]);
    api.expect(Call::get(ONE).not_found());
    let refused = objects.apply(&request, "ml-team", "deny", spec(), false).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("may not create"), "{refused:?}");
    let refused = objects.watch(&request, "ml-team", "", "").await.map(|_| ()).unwrap_err();
    assert!(refused.message().contains("may not list"), "{refused:?}");
    api.verify().await;
}

#[tokio::test]
async fn what_the_caller_wrote_wrong_is_named() {
    let (objects, _api, request) = objects(&["get", "list", "patch", "delete"]);
    let unnamed = [
        objects.get(&request, "ml-team", "").await.map(|_| ()),
        objects.apply(&request, "ml-team", "", spec(), true).await.map(|_| ()),
        objects.delete(&request, "ml-team", "", "").await,
    ];
    for refused in unnamed {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations[0].field, "name");
    }
    let refused = objects.list(&request, "ml-team", -1, "").await.unwrap_err();
    assert_eq!(refused.get_error_details().bad_request().unwrap().field_violations[0].field, "page_size");
}

#[tokio::test]
async fn answers_of_the_api_server_become_statuses() {
    let (objects, api, request) = objects(&["get"]);
    for (code, expected) in [
        (404, Code::NotFound),
        (403, Code::PermissionDenied),
        (409, Code::Aborted),
        (410, Code::OutOfRange),
        (422, Code::InvalidArgument),
        (500, Code::Unavailable),
        (429, Code::Unavailable),
    ] {
        api.expect(Call::get(ONE).refused(code, "Scripted", "as the test said"));
        let refused = objects.get(&request, "ml-team", "deny").await.unwrap_err();
        assert_eq!(refused.code(), expected, "{code}");
        assert!(refused.message().contains("as the test said"), "{refused:?}");
    }
    api.expect(Call::get(ONE).breaks());
    let refused = objects.get(&request, "ml-team", "deny").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    api.expect(Call::get(ONE).answers(json!({"metadata": {"name": "deny"}, "spec": "not an object"})));
    let refused = objects.get(&request, "ml-team", "deny").await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    api.verify().await;
}

#[tokio::test]
async fn pages_are_bounded_and_lead_to_the_next() {
    let (objects, api, request) = objects(&["list"]);
    for (asked, limit, token) in [(0, "100", ""), (7, "7", "t-1"), (9_000, "500", "t-2")] {
        let page = json!({
            "metadata": {"resourceVersion": "12", "continue": "more"}, "items": [policy("deny", 1, json!({}))],
        });
        let call = Call::get(ALL).query("limit", limit);
        let call = if token.is_empty() { call } else { call.query("continue", token) };
        api.expect(call.answers(page));
        let page = objects.list(&request, "ml-team", asked, token).await.unwrap();
        assert_eq!(
            (page.items[0].name_any().as_str(), page.next.as_str(), page.version.as_str()),
            ("deny", "more", "12")
        );
    }
    api.verify().await;
}

#[tokio::test]
async fn a_write_is_tried_first_and_carries_the_callers_trace() {
    let exporter = InMemorySpanExporter::default();
    let telemetry = Telemetry::with_span_exporter("test", &args(&[]), exporter).unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
    let _guard = tracing::subscriber::set_default(subscriber);
    let span = tracing::info_span!("call");
    let context = span.context().span().span_context().clone();
    let flow = format!("00-{}-{}-01", context.trace_id(), context.span_id());
    let traced = json!({"mlplatform.dev/traceparent": flow});

    let (objects, api, request) = objects(&["patch", "create"]);
    let dry = || Call::apply(ONE).query("dryRun", "All").query("fieldManager", "test-api");
    let wet =
        || Call::apply(ONE).sending(json!({"metadata": {"annotations": traced.clone()}, "spec": spec()}));
    api.expect(Call::get(ONE).not_found());
    api.expect(dry().answers(policy("deny", 1, json!({}))));
    api.expect(wet().answers(policy("deny", 1, traced.clone())));
    let apply = objects.apply(&request, "ml-team", "deny", spec(), false);
    let (made, change) = apply.instrument(span.clone()).await.unwrap();
    assert_eq!(
        (change, made.annotations().get("mlplatform.dev/traceparent")),
        (Change::Created, Some(&flow))
    );

    api.expect(Call::get(ONE).answers(policy("deny", 1, json!({}))));
    api.expect(dry().answers(policy("deny", 2, json!({}))));
    api.expect(wet().answers(policy("deny", 2, traced.clone())));
    let apply = objects.apply(&request, "ml-team", "deny", spec(), false);
    assert_eq!(apply.instrument(span).await.unwrap().1, Change::Configured);
    api.verify().await;
}

#[tokio::test]
async fn what_is_so_already_and_a_dry_run_write_nothing() {
    let (objects, api, request) = objects(&["patch", "create"]);
    let former =
        json!({"mlplatform.dev/traceparent": "00-11111111111111111111111111111111-2222222222222222-01"});
    let dry = || Call::apply(ONE).query("dryRun", "All");
    api.expect(Call::get(ONE).answers(policy("deny", 3, former.clone())));
    // The former flow is repeated, or the trial would show a change of the annotation.
    let repeated = json!({"metadata": {"annotations": former.clone()}});
    api.expect(dry().sending(repeated).answers(policy("deny", 3, former)));
    let (_, change) = objects.apply(&request, "ml-team", "deny", spec(), false).await.unwrap();
    assert_eq!(change, Change::Unchanged);

    api.expect(Call::get(ONE).not_found());
    api.expect(dry().answers(policy("deny", 1, json!({}))));
    let (tried, change) = objects.apply(&request, "ml-team", "deny", spec(), true).await.unwrap();
    assert_eq!((tried.name_any().as_str(), change), ("deny", Change::Created));
    api.verify().await;
}

#[tokio::test]
async fn deleting_what_is_gone_is_no_error_and_a_uid_is_a_precondition() {
    let (objects, api, request) = objects(&["delete"]);
    api.expect(Call::delete(ONE).not_found());
    objects.delete(&request, "ml-team", "deny", "").await.unwrap();
    api.expect(Call::delete(ONE).sending(json!({"preconditions": {"uid": "u-1"}})).conflict());
    let refused = objects.delete(&request, "ml-team", "deny", "u-1").await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    api.verify().await;
}

/// The next change: what, of which object, and the version to resume from.
async fn next(changes: &mut mlp_host::grpc::Changes<NetworkPolicy>) -> (&'static str, String, String) {
    let (changed, version) = tokio::time::timeout(LIMIT, changes.next()).await.unwrap().unwrap().unwrap();
    let (what, object) = match changed {
        Changed::Added(object) => ("added", object),
        Changed::Modified(object) => ("modified", object),
        Changed::Deleted(object) => ("deleted", object),
        Changed::Bookmark(_) => ("bookmark", NetworkPolicy::default()),
    };
    (what, object.name_any(), version)
}

/// A watch by ada, from `version`.
async fn watching(names: &[&str], version: &str) -> (mlp_host::grpc::Changes<NetworkPolicy>, Feed, MockApi) {
    let (objects, api, request) = objects(&["watch", "list"]);
    let feed = api.feed(ALL, "NetworkPolicy");
    for name in names {
        feed.put(policy(name, 1, json!({})));
    }
    let changes = objects.watch(&request, "ml-team", "", version).await.unwrap();
    (changes, feed, api)
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_there_is_then_what_changes_and_goes_on_where_it_was_ended() {
    let (mut changes, feed, _api) = watching(&["a", "b"], "").await;
    // Only after the last of them is there a version to resume from.
    assert_eq!(next(&mut changes).await, ("added", "a".into(), String::new()));
    let (what, name, version) = next(&mut changes).await;
    assert_eq!((what, name.as_str(), version.is_empty()), ("added", "b", false));
    let later = feed.put(policy("c", 1, json!({})));
    let (_, name, version) = next(&mut changes).await;
    assert_eq!((name.as_str(), &version), ("c", &later));
    feed.end_watches();
    feed.put(policy("d", 1, json!({})));
    assert_eq!(next(&mut changes).await.1, "d", "what changed meanwhile is not lost");
    feed.remove(Some("ml-team"), "a");
    let (what, name, _) = next(&mut changes).await;
    assert_eq!((what, name.as_str()), ("deleted", "a"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_tells_only_what_came_after() {
    let (mut changes, feed, _api) = watching(&["a", "b"], "2").await;
    assert_eq!(next(&mut changes).await.1, "b");
    feed.put(policy("a", 2, json!({})));
    let (what, name, _) = next(&mut changes).await;
    assert_eq!((what, name.as_str()), ("modified", "a"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_ends_the_stream_and_says_so() {
    let (mut changes, feed, _api) = watching(&["a"], "").await;
    next(&mut changes).await;
    feed.put(policy("b", 1, json!({})));
    next(&mut changes).await;
    feed.remove_unseen(Some("ml-team"), "a");
    let refused = tokio::time::timeout(LIMIT, changes.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(changes.next().await.is_none(), "the caller lists again");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_ended_again_and_again_is_opened_with_pauses() {
    let (mut changes, feed, _api) = watching(&[], "").await;
    let begun = tokio::time::Instant::now();
    let ends = async {
        for _ in 0..5 {
            while feed.watches() == 0 {
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            feed.end_watches();
        }
        feed.put(policy("late", 1, json!({})));
    };
    let ((), (_, name, _)) = tokio::join!(ends, next(&mut changes));
    assert_eq!(name, "late");
    assert!(begun.elapsed() >= std::time::Duration::from_secs(4), "{:?}", begun.elapsed());
}
