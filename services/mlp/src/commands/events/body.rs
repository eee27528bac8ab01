//! An event's body as JSON, by the descriptors of all contracts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

/// The message as JSON (protobuf's JSON mapping); base64 where its type is not known here.
pub(super) fn decode(message_type: &str, data: &[u8]) -> Value {
    read(message_type, data).unwrap_or_else(|| json!({"base64": BASE64.encode(data)}))
}

/// The message as JSON, where its type is known here.
pub(crate) fn read(message_type: &str, data: &[u8]) -> Option<Value> {
    let pool = DescriptorPool::decode(mlp_proto::DESCRIPTOR_SET).ok()?;
    let descriptor = pool.get_message_by_name(message_type)?;
    let message = DynamicMessage::decode(descriptor, data).ok()?;
    serde_json::to_value(&message).ok()
}

#[cfg(test)]
mod tests {
    use mlp_proto::Message as _;
    use mlp_proto::team::events::v1::TeamIsolated;

    use super::*;

    #[test]
    fn known_messages_are_json_and_others_keep_their_bytes() {
        let message = TeamIsolated { team: "ml".into(), ..TeamIsolated::default() };
        let value = decode("mlp.team.events.v1.TeamIsolated", &message.encode_to_vec());
        assert_eq!(value["team"], "ml");
        assert_eq!(decode("some.Other", b"\x01"), json!({"base64": "AQ=="}));
    }
}
