//! Domain and resource values as protobuf; total in both directions.

use jiff::Timestamp;
use mlp_crds::health_record::Health;
use mlp_crds::incident::{ResourceRef, Severity};
use mlp_proto::common::v1 as common;
use mlp_proto::health::events::v1 as events;

/// A resource reference.
pub fn resource(resource: &ResourceRef) -> common::ResourceRef {
    common::ResourceRef {
        group: resource.group.clone(),
        version: resource.version.clone(),
        kind: resource.kind.clone(),
        namespace: resource.namespace.clone(),
        name: resource.name.clone(),
        uid: resource.uid.clone(),
    }
}

/// A health.
pub const fn health(health: Health) -> common::Health {
    match health {
        Health::Healthy => common::Health::Healthy,
        Health::Suspended => common::Health::Suspended,
        Health::Progressing => common::Health::Progressing,
        Health::Missing => common::Health::Missing,
        Health::Degraded => common::Health::Degraded,
        Health::Unknown => common::Health::Unknown,
    }
}

/// A severity.
pub const fn severity(severity: Severity) -> events::Severity {
    match severity {
        Severity::Warning => events::Severity::Warning,
        Severity::Critical => events::Severity::Critical,
    }
}

/// An RFC 3339 time; none where it is absent or no time.
pub fn time(text: Option<&str>) -> Option<prost_types::Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
    Some(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_health_has_a_wire_value_of_its_own_and_of_the_same_name() {
        let all = [
            Health::Healthy,
            Health::Suspended,
            Health::Progressing,
            Health::Missing,
            Health::Degraded,
            Health::Unknown,
        ];
        for one in all {
            assert_eq!(health(one).as_str_name(), format!("HEALTH_{}", one.as_str().to_uppercase()));
        }
    }

    #[test]
    fn times_round_trip_and_nonsense_is_none() {
        let read = time(Some("2026-11-23T01:02:03Z")).unwrap();
        assert_eq!((read.seconds, read.nanos), (1_795_395_723, 0));
        assert_eq!(time(Some("soon")), None);
        assert_eq!(time(None), None);
    }
}
