use serde_json::{Value, json};

use super::*;
use crate::fixture::{parsed, widget};
use crate::testing::{Call, MockApi};

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/default/events";

#[tokio::test(start_paused = true)]
async fn a_steady_finding_is_said_once_and_a_new_one_after_a_pause() {
    let api = MockApi::new();
    let recorder = Recorder::new(api.client(), "team-isolation");
    let object = parsed(widget("ml", "1", Value::Null));
    let said = |note: &str| {
        let body = json!({"reason": "Waiting", "note": note, "type": "Warning", "regarding": {"name": "ml"}});
        Call::post(EVENTS).sending(body).echoes()
    };
    api.expect(said("for a namespace"));
    for _ in 0..100 {
        recorder.warning(&object, "Waiting", "Isolate", "for a namespace").await;
        recorder.warning(&object, "Waiting", "Isolate", "for a quota").await;
    }
    tokio::time::advance(PAUSE).await;
    api.expect(said("for a quota"));
    recorder.warning(&object, "Waiting", "Isolate", "for a quota").await;
    tokio::time::advance(REPEAT_AFTER / 2).await;
    recorder.warning(&object, "Waiting", "Isolate", "for a quota").await;
    tokio::time::advance(REPEAT_AFTER / 2).await;
    api.expect(said("for a quota"));
    recorder.warning(&object, "Waiting", "Isolate", "for a quota").await;
    api.verify().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_does_not_fail_the_caller() {
    let api = MockApi::new();
    api.expect(Call::post(EVENTS).refused(403, "Forbidden", "no"));
    let recorder = Recorder::new(api.client(), "team-isolation");
    recorder.normal(&parsed(widget("ml", "1", Value::Null)), "Ready", "Isolate", "done").await;
    api.verify().await;
}

#[test]
fn memory_is_bounded() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let recorder = Recorder::new(MockApi::new().client(), "x");
        let start = Instant::now();
        for number in 0..(2 * LIMIT as u64) {
            assert!(recorder.is_news(
                (number.to_string(), "R".into()),
                "w",
                start + Duration::from_secs(number)
            ));
        }
        let kept = recorder.said.lock().unwrap().len();
        assert!(kept <= LIMIT, "{kept}");
    });
}
