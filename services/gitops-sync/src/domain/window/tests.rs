use serde_json::json;

use super::*;

const SHOP: Subject<'_> = Subject {
    application: "shop",
    namespace: "ml-team",
    clusters: ["https://kubernetes.default.svc", "in-cluster"],
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn judged(windows: Value, now: &str) -> Windows {
    judge(&windows, SHOP, at(now)).unwrap()
}

fn blocks(windows: Value, now: &str) -> (bool, bool) {
    let windows = judged(windows, now);
    (windows.automated.is_some(), windows.manual.is_some())
}

fn window(kind: &str, schedule: &str, more: Value) -> Value {
    let mut window = json!({"kind": kind, "schedule": schedule, "duration": "2h", "applications": ["*"]});
    window.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    window
}

#[test]
fn a_window_that_forbids_does_so_while_it_is_open() {
    // The seed's freeze: Mondays from two to four.
    let freeze = || json!([window("deny", "0 2 * * 1", json!({}))]);
    assert_eq!(blocks(freeze(), "2026-11-23T01:59:59Z"), (false, false));
    assert_eq!(blocks(freeze(), "2026-11-23T02:00:00Z"), (true, true));
    assert_eq!(blocks(freeze(), "2026-11-23T03:59:59Z"), (true, true));
    assert_eq!(blocks(freeze(), "2026-11-23T04:00:00Z"), (false, false));
    let closed = judged(freeze(), "2026-11-23T03:00:00Z").automated.unwrap();
    assert_eq!(closed.until, Some(at("2026-11-23T04:00:00Z")));
    assert!(closed.why.contains("`deny 0 2 * * 1 2h UTC`"), "{}", closed.why);
}

#[test]
fn by_hand_it_goes_where_every_open_window_lets_it() {
    let lets = window("deny", "0 2 * * 1", json!({"manualSync": true}));
    let forbids = window("deny", "0 3 * * 1", json!({}));
    assert_eq!(blocks(json!([lets.clone(), forbids.clone()]), "2026-11-23T02:30:00Z"), (true, false));
    assert_eq!(blocks(json!([lets, forbids]), "2026-11-23T03:30:00Z"), (true, true));
}

#[test]
fn windows_that_allow_forbid_all_other_times() {
    let nights = |more: Value| json!([window("allow", "0 22 * * *", more)]);
    assert_eq!(blocks(nights(json!({})), "2026-11-23T23:00:00Z"), (false, false));
    assert_eq!(blocks(nights(json!({})), "2026-11-23T12:00:00Z"), (true, true));
    assert_eq!(blocks(nights(json!({"manualSync": true})), "2026-11-23T12:00:00Z"), (true, false));
    let closed = judged(nights(json!({})), "2026-11-23T12:00:00Z").automated.unwrap();
    assert_eq!(closed.until, Some(at("2026-11-23T22:00:00Z")), "the next opening");
    let both = json!([window("allow", "0 22 * * *", json!({})), window("deny", "0 22 * * *", json!({}))]);
    assert_eq!(blocks(both, "2026-11-23T23:00:00Z"), (true, true), "what forbids counts first");
}

#[test]
fn it_concerns_whom_it_names() {
    let now = "2026-11-23T02:30:00Z";
    let of = |more: Value| {
        let mut window = window("deny", "0 2 * * 1", more);
        window.as_object_mut().unwrap().entry("applications").and_modify(|list| {
            if *list == json!(["*"]) {
                *list = json!([]);
            }
        });
        blocks(json!([window]), now).0
    };
    assert!(of(json!({"applications": ["sh*"]})));
    assert!(of(json!({"namespaces": ["ml-*"]})));
    assert!(of(json!({"clusters": ["in-cluster"]})));
    assert!(!of(json!({"applications": ["other"], "namespaces": ["data-*"]})));
    assert!(of(json!({"applications": ["other"], "namespaces": ["ml-*"]})), "any of them");
    assert!(
        !of(json!({"applications": ["other"], "namespaces": ["ml-*"], "andOperator": true})),
        "all of them"
    );
    assert!(of(json!({"applications": ["shop"], "namespaces": ["ml-*"], "andOperator": true})));
    assert!(!of(json!({})), "nobody");
}

#[test]
fn a_change_of_the_clocks_moves_no_window() {
    // Berlin: UTC+2 until 25 October 2026, UTC+1 after.
    let nine = |now| {
        blocks(
            json!([window("deny", "0 9 * * *", json!({"timeZone": "Europe/Berlin", "duration": "1h"}))]),
            now,
        )
        .0
    };
    assert!(nine("2026-10-24T07:30:00Z") && !nine("2026-10-24T08:30:00Z"));
    assert!(nine("2026-10-26T08:30:00Z") && !nine("2026-10-26T07:30:00Z"));
}

#[test]
fn what_cannot_be_read_is_said_by_field() {
    let said = |more: Value| {
        judge(&json!([window("deny", "0 2 * * 1", more)]), SHOP, at("2026-11-23T00:00:00Z")).unwrap_err()
    };
    for (more, field) in [
        (json!({"kind": "maybe"}), "spec.syncWindows[0].kind is `maybe`"),
        (json!({"schedule": "at noon"}), "spec.syncWindows[0].schedule is `at noon`"),
        (json!({"duration": "long"}), "spec.syncWindows[0].duration is `long`"),
        (json!({"duration": "9000h"}), "spec.syncWindows[0].duration"),
        (json!({"timeZone": "Mars/Base"}), "spec.syncWindows[0].timeZone is `Mars/Base`"),
    ] {
        let found = said(more.clone());
        assert!(found.contains(field), "{more}: {found}");
    }
    assert_eq!(judge(&Value::Null, SHOP, at("2026-11-23T00:00:00Z")), Ok(Windows::default()));
}
