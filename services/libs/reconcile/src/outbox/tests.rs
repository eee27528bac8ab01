use mlp_model::{Context, FactDraft, Outbox};

use super::*;
use crate::fixture::{WIDGET, WIDGET_STATUS, Widget, parsed, widget};
use crate::testing::{Call, MockApi};

fn outbox(facts: usize) -> Outbox {
    let mut outbox = Outbox::default();
    for _ in 0..facts {
        let draft = FactDraft {
            context: Context::Team,
            name: "team-isolated",
            message_type: "mlp.team.events.v1.TeamIsolated",
            kind: "Widget",
            uid: "uid-ml".into(),
            team: "ml".into(),
            subject: "teams/ml".into(),
            data: vec![1],
            flow: String::new(),
        };
        outbox.record(draft, "2026-01-01T00:00:00Z".into(), None).unwrap();
    }
    outbox
}

fn object(version: &str, outbox: &Outbox) -> Value {
    widget("ml", version, json!({"outbox": outbox}))
}

fn store(api: &MockApi) -> StatusOutbox<Widget> {
    StatusOutbox::new(Api::all(api.client()), "team-isolation", "ml")
}

fn ids(outbox: &Outbox) -> Vec<FactId> {
    outbox.pending.iter().map(|fact| fact.id.clone()).collect()
}

#[tokio::test]
async fn facts_are_read_in_order_and_trimmed_over_the_version_read() {
    let api = MockApi::new();
    let (store, three) = (store(&api), outbox(3));
    api.expect(Call::get(WIDGET).answers(object("5", &three)));
    let pending = store.pending(2).await.unwrap();
    assert_eq!(pending, three.pending[..2]);

    let mut rest = three.clone();
    rest.trim(&ids(&three)[..2]);
    let body = json!({"metadata": {"resourceVersion": "5"}, "status": {"outbox": {"pending": rest.pending}}});
    api.expect(Call::merge(WIDGET_STATUS).sending(body).answers(object("6", &rest)));
    store.trim(&ids(&three)[..2]).await.unwrap();
    // Trimming the same facts again has nothing to remove.
    store.trim(&ids(&three)[..2]).await.unwrap();
    api.verify().await;
}

#[tokio::test]
async fn an_emptied_outbox_is_written_as_it_serializes() {
    let api = MockApi::new();
    let one = outbox(1);
    let known = parsed(object("5", &one));
    let store = StatusOutbox::of(Api::all(api.client()), "x", &known).unwrap();
    assert_eq!(store.pending(9).await.unwrap(), one.pending);
    api.expect(Call::get(WIDGET).answers(object("5", &one)));
    assert_eq!(store.pending(9).await.unwrap(), one.pending, "the second look is at the live object");
    let body = json!({"metadata": {"resourceVersion": "5"}, "status": {"outbox": {"pending": null}}});
    let empty = Outbox { sequence: 1, pending: Vec::new() };
    api.expect(Call::merge(WIDGET_STATUS).sending(body).answers(object("6", &empty)));
    store.trim(&ids(&one)).await.unwrap();
    assert!(store.pending(9).await.unwrap().is_empty(), "the trim's answer is the newest state");
    api.expect(Call::get(WIDGET).answers(object("7", &outbox(2))));
    assert_eq!(store.pending(9).await.unwrap().len(), 2);
    api.verify().await;
}

#[tokio::test]
async fn a_conflict_is_met_by_reading_again_and_facts_recorded_meanwhile_stay() {
    let api = MockApi::new();
    let (store, one, two) = (store(&api), outbox(1), outbox(2));
    api.expect(Call::get(WIDGET).answers(object("5", &one)));
    store.pending(9).await.unwrap();
    api.expect(Call::merge(WIDGET_STATUS).conflict());
    api.expect(Call::get(WIDGET).answers(object("6", &two)));
    let body =
        json!({"metadata": {"resourceVersion": "6"}, "status": {"outbox": {"pending": two.pending[1..]}}});
    api.expect(Call::merge(WIDGET_STATUS).sending(body).answers(object("7", &two)));
    store.trim(&ids(&one)).await.unwrap();
    api.verify().await;
}

#[tokio::test]
async fn conflicts_are_retried_a_bounded_number_of_times() {
    let api = MockApi::new();
    let one = outbox(1);
    for _ in 0..TRIM_ATTEMPTS {
        api.expect(Call::get(WIDGET).answers(object("5", &one)));
        api.expect(Call::merge(WIDGET_STATUS).conflict());
    }
    assert!(store(&api).trim(&ids(&one)).await.unwrap_err().is_conflict());
    api.verify().await;
}

#[tokio::test]
async fn an_object_that_is_gone_has_an_empty_outbox() {
    let api = MockApi::new();
    let store = store(&api);
    for _ in 0..2 {
        api.expect(Call::get(WIDGET).not_found());
    }
    assert!(store.pending(9).await.unwrap().is_empty());
    store.trim(&ids(&outbox(1))).await.unwrap();
    api.verify().await;
}
