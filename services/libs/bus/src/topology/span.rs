//! Durations in files: `30s`, `2m`, `7d 12h`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize as _, Deserializer, Serializer};

fn parse<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    let hours = text.trim().strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = hours {
        return Ok(Duration::from_secs(days.saturating_mul(86_400)));
    }
    let signed: Result<SignedDuration, _> = text.parse();
    let duration = signed.ok().and_then(|signed| Duration::try_from(signed).ok());
    duration.ok_or_else(|| E::custom(format!("`{text}` is no duration; write for example 30s, 5m or 7d")))
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}ms", duration.as_millis()))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

/// The same for lists.
pub(super) mod list {
    use super::{Deserializer, Duration, Serializer, parse};
    use serde::Deserialize as _;

    pub(in crate::topology) fn serialize<S: Serializer>(
        durations: &[Duration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(durations.iter().map(|duration| format!("{}ms", duration.as_millis())))
    }

    pub(in crate::topology) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Duration>, D::Error> {
        Vec::<String>::deserialize(deserializer)?.iter().map(|text| parse(text)).collect()
    }
}
