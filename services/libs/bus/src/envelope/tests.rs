use mlp_model::Context;
use proptest::prelude::*;

use super::*;

pub(crate) fn fact() -> Fact {
    Fact {
        id: FactId::derive("Team", "u-1", 7, "mlp.team.events.v1.TeamIsolated"),
        context: Context::Team,
        name: "team-isolated".into(),
        message_type: "mlp.team.events.v1.TeamIsolated".into(),
        team: "ml".into(),
        aggregate: "u-1".into(),
        version: 7,
        subject: "teams/ml".into(),
        time: "2026-11-23T13:00:00Z".into(),
        data: vec![0, 255, 1],
        flow: Flow::derive("u-1", 1).traceparent(),
        cause: None,
    }
}

fn headers_of(fact: &Fact) -> HeaderMap {
    encode(fact).unwrap().1
}

const SUBJECT: &str = "mlp.team.team-isolated.v1.ml.u-1";

fn read(headers: &HeaderMap) -> Result<Event, Malformed> {
    decode(SUBJECT, Some(headers), Bytes::new(), 1)
}

#[test]
fn a_fact_comes_back_as_it_went() {
    let (topic, headers, body) = encode(&fact()).unwrap();
    let event = decode(&topic.to_string(), Some(&headers), body, 1).unwrap();
    assert_eq!(event, Event::of(&fact()).unwrap());
    assert_eq!(headers.get("ce-sequence").map(|v| v.as_str()), Some("00000000000000000007"));
    assert_eq!(
        headers.get("ce-dataschema").map(|v| v.as_str()),
        Some("proto:mlp.team.events.v1.TeamIsolated")
    );
}

#[test]
fn values_are_encoded_as_the_binding_says() {
    for (text, wire) in [
        ("plain-ASCII_~!", "plain-ASCII_~!"),
        ("a b", "a%20b"),
        ("say \"hi\"", "say%20%22hi%22"),
        ("100%", "100%25"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("line\r\nbreak\u{7f}", "line%0D%0Abreak%7F"),
    ] {
        assert_eq!(percent::encode(text), wire);
        assert_eq!(percent::decode(wire).as_deref(), Some(text));
    }
    assert_eq!(percent::decode("%e2%82%ac").as_deref(), Some("€"));
}

#[test]
fn header_names_are_read_in_any_case() {
    let mut upper = HeaderMap::new();
    for (name, values) in headers_of(&fact()).iter() {
        let name: &str = name.as_ref();
        upper.insert(name.to_uppercase().as_str(), values[0].as_str());
    }
    assert_eq!(read(&upper).unwrap().id, fact().id);
    upper.insert("ce-id", "another");
    assert_eq!(read(&upper), Err(Malformed::Ambiguous("ce-id")));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for name in ["ce-id", "ce-source", "ce-type", "ce-subject", "ce-sequence", "ce-specversion"] {
        let kept = headers_of(&fact());
        let without = kept.iter().filter(|(key, _)| AsRef::<str>::as_ref(*key) != name);
        let headers: HeaderMap = without.map(|(key, values)| (key.clone(), values[0].clone())).collect();
        assert_eq!(read(&headers), Err(Malformed::Missing(name)));
        let mut headers = headers_of(&fact());
        headers.insert(name, "");
        assert_eq!(read(&headers), Err(Malformed::Missing(name)));
    }
    let with = |name: &str, value: &str| {
        let mut headers = headers_of(&fact());
        headers.insert(name, value);
        read(&headers)
    };
    assert_eq!(with("ce-id", "%ff"), Err(Malformed::Encoding("ce-id")));
    assert_eq!(with("ce-id", "%4"), Err(Malformed::Encoding("ce-id")));
    assert_eq!(with("ce-id", "%+1"), Err(Malformed::Encoding("ce-id")));
    assert_eq!(with("ce-specversion", "0.3"), Err(Malformed::SpecVersion("0.3".into())));
    assert_eq!(with("ce-sequence", "-1"), Err(Malformed::Sequence("-1".into())));
    assert_eq!(with("ce-sequence", "+1"), Err(Malformed::Sequence("+1".into())));
    let structured = "application/cloudevents+json";
    assert_eq!(with("content-type", structured), Err(Malformed::ContentType(structured.into())));
    assert!(matches!(decode("x", Some(&headers_of(&fact())), Bytes::new(), 1), Err(Malformed::Subject(_))));
    assert_eq!(decode(SUBJECT, None, Bytes::new(), 1), Err(Malformed::Missing("ce-specversion")));
}

#[test]
fn a_broken_trace_context_reads_as_none() {
    let mut headers = headers_of(&fact());
    headers.insert(TRACEPARENT, "00-zz-1-01");
    headers.insert(CE_TRACEPARENT, "%ff");
    let event = read(&headers).unwrap();
    assert_eq!((event.traceparent, event.flow), (None, None));
}

#[test]
fn a_fact_without_a_required_part_is_refused() {
    let empty = Fact { subject: String::new(), ..fact() };
    assert_eq!(encode(&empty).map(|_| ()), Err(EncodeError::Empty("subject")));
    let bad = Fact { team: "Not A Team".into(), ..fact() };
    assert!(matches!(encode(&bad), Err(EncodeError::Subject(SubjectError::Team(_)))));
}

proptest! {
    #[test]
    fn any_text_survives_a_header(text in any::<String>()) {
        let wire = percent::encode(&text);
        prop_assert!(wire.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"'));
        prop_assert_eq!(percent::decode(&wire), Some(text));
    }

    #[test]
    fn decoding_never_panics(text in any::<String>()) {
        let _ = percent::decode(&text);
    }
}
