//! Every event ever published must be read by the newest code: `golden/<message>.v1.bin` is an
//! event as it was published, with every field set, and its JSON. Written once, never rewritten;
//! fields that are added later are absent in it, as they are in old events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "shared by several test binaries")]
mod support;

use std::fs;

use mlp_proto::{EVENTS, Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(mlp_proto::DESCRIPTOR_SET).unwrap()
}

/// A message with every field set to something that can be told apart.
fn filled(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let value = if field.is_map() {
            let entry = field.kind().as_message().unwrap().clone();
            let value = single(&entry.map_entry_value_field());
            Value::Map([(MapKey::String("key".into()), value)].into())
        } else if field.is_list() {
            Value::List(vec![single(&field)])
        } else {
            single(&field)
        };
        message.set_field(&field, value);
    }
    message
}

fn single(field: &FieldDescriptor) -> Value {
    let number = field.number();
    match field.kind() {
        Kind::String => Value::String(field.name().to_owned()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(i32::try_from(number).unwrap() + 100),
        Kind::Int64 => Value::I64(i64::from(number) + 1_000_000_000_000),
        Kind::Uint64 => Value::U64(u64::from(number) + 1_000_000_000_000),
        Kind::Enum(one) => Value::EnumNumber(one.values().last().unwrap().number()),
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
            let mut time = DynamicMessage::new(inner);
            time.set_field_by_name("seconds", Value::I64(1_800_000_000 + i64::from(number)));
            Value::Message(time)
        }
        Kind::Message(inner) => Value::Message(filled(&inner)),
        other => panic!("{}: no sample for {other:?}; add one", field.full_name()),
    }
}

fn json(message: &DynamicMessage) -> String {
    format!("{}\n", serde_json::to_string_pretty(message).unwrap())
}

#[test]
fn every_published_event_is_read() {
    let (pool, folder) = (pool(), support::root().join("golden"));
    for event in EVENTS {
        let descriptor = pool.get_message_by_name(event.message).unwrap();
        let bytes_path = folder.join(format!("{}.v1.bin", event.message));
        let json_path = folder.join(format!("{}.v1.json", event.message));
        if support::updating() && !bytes_path.exists() {
            let sample = filled(&descriptor);
            support::golden(&bytes_path, &sample.encode_to_vec());
            support::golden(&json_path, json(&sample).as_bytes());
        }
        let bytes = fs::read(&bytes_path).unwrap_or_else(|_| {
            panic!("{} has no golden; UPDATE_GOLDEN=1 cargo test -p mlp-proto writes it", event.message)
        });
        let read = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap();
        assert_eq!(read.unknown_fields().count(), 0, "{} forgot a field", event.message);
        assert_eq!(json(&read), fs::read_to_string(&json_path).unwrap(), "{}", event.message);
        assert_eq!(through_rust(event.message, &bytes), json(&read), "{}", event.message);
    }
}

/// Reads the bytes as the Rust type and writes them again; the JSON of what comes out.
fn through_rust(message: &str, bytes: &[u8]) -> String {
    let again = typed(message, bytes);
    let descriptor = pool().get_message_by_name(message).unwrap();
    json(&DynamicMessage::decode(descriptor, again.as_slice()).unwrap())
}

macro_rules! types {
    ($($type:ty),* $(,)?) => {
        fn typed(message: &str, bytes: &[u8]) -> Vec<u8> {
            $(if message == <$type>::full_name() {
                return <$type>::decode(bytes).unwrap().encode_to_vec();
            })*
            panic!("{message} is in the catalogue and not in this list; add it")
        }

        fn names() -> Vec<String> {
            vec![$(<$type>::full_name()),*]
        }
    };
}

types!(
    mlp_proto::team::events::v1::TeamDeclared,
    mlp_proto::team::events::v1::TeamIsolated,
    mlp_proto::team::events::v1::TeamRemoved,
    mlp_proto::team::events::v1::TeamChanged,
    mlp_proto::team::events::v1::QuotaNearLimit,
    mlp_proto::team::events::v1::QuotaRebalanced,
    mlp_proto::team::events::v1::IsolationDriftRepaired,
    mlp_proto::team::events::v1::AdmissionDenied,
    mlp_proto::team::events::v1::TeamOffboarding,
    mlp_proto::provision::events::v1::DatabaseReady,
    mlp_proto::provision::events::v1::CacheReady,
    mlp_proto::provision::events::v1::ProvisioningFailed,
    mlp_proto::provision::events::v1::DatabaseDeleted,
    mlp_proto::provision::events::v1::CacheDeleted,
    mlp_proto::gitops::events::v1::ApplicationSynced,
    mlp_proto::gitops::events::v1::SyncFailed,
    mlp_proto::gitops::events::v1::ApplicationHealthChanged,
    mlp_proto::gitops::events::v1::RevisionObserved,
    mlp_proto::gitops::events::v1::DriftDetected,
    mlp_proto::gitops::events::v1::DriftHealed,
    mlp_proto::cost::events::v1::MeteringStarted,
    mlp_proto::cost::events::v1::CostHourClosed,
    mlp_proto::health::events::v1::HealthChanged,
    mlp_proto::health::events::v1::IncidentOpened,
    mlp_proto::health::events::v1::IncidentClosed,
);

#[test]
fn catalogue_types_and_messages_are_the_same_set() {
    let catalogue: Vec<_> = EVENTS.iter().map(|event| event.message.to_owned()).collect();
    assert_eq!(catalogue, names());
    let parts = ["TeamNamespace", "NamespaceCost", "QuotaUse", "NamespaceQuota", "Denial"];
    for message in pool().all_messages().filter(|m| m.package_name().ends_with(".events.v1")) {
        let known = catalogue.contains(&message.full_name().to_owned());
        let part = parts.contains(&message.name()) || message.is_map_entry();
        assert!(known || part, "{} is no event of the catalogue", message.full_name());
    }
    for entry in fs::read_dir(support::root().join("golden")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let message = name.split(".v1.").collect::<Vec<_>>();
        assert!(
            catalogue.iter().any(|c| name.starts_with(c.as_str())),
            "golden of no event: {name} {message:?}"
        );
    }
}
