//! The flow: all work on one change of one object, as one trace.
//!
//! Where the object carries a W3C `traceparent` (annotation) the flow continues it. Elsewhere trace and root span ids
//! are derived from (uid, generation), so that services that never talked to each other put their
//! spans under the same root (design section 3). The owner of the kind emits the root span once.

use sha2::{Digest, Sha256};

/// Attribute of a span: false once it is certain that its work changed nothing. Such a span is not
/// exported unless another one hangs under it or links to it, or steady state would fill traces.
pub const EFFECT: &str = "mlp.effect";

/// Ids of a flow's root span, ready for W3C trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// W3C trace-id; never all zero.
    pub trace_id: [u8; 16],
    /// W3C parent-id of the root span; never all zero.
    pub root_span_id: [u8; 8],
    /// Whether the ids were derived here, so that the owner of the kind owes the root span.
    pub derived: bool,
}

impl Flow {
    /// The flow of one generation of one object.
    pub fn derive(uid: &str, generation: i64) -> Self {
        let digest = Sha256::digest(format!("mlp-flow/{uid}/{generation}").as_bytes());
        let mut trace_id = [0; 16];
        let mut root_span_id = [0; 8];
        for (target, byte) in trace_id.iter_mut().chain(root_span_id.iter_mut()).zip(digest.iter()) {
            *target = *byte;
        }
        // SHA-256 giving a zero prefix is not a case to handle at run time, but W3C forbids zero ids.
        trace_id[15] |= 1;
        root_span_id[7] |= 1;
        Self { trace_id, root_span_id, derived: true }
    }

    /// The flow that an object's annotation names, or the derived one where there is none or it is
    /// not a valid W3C `traceparent`.
    pub fn of(uid: &str, generation: i64, traceparent: Option<&str>) -> Self {
        traceparent.and_then(Self::parse).unwrap_or_else(|| Self::derive(uid, generation))
    }

    /// Reads a version-00 `traceparent`.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let _flags = parts.next()?;
        let trace_id = decode_hex::<16>(trace)?;
        let root_span_id = decode_hex::<8>(span)?;
        let valid = version == "00" && trace_id != [0; 16] && root_span_id != [0; 8];
        valid.then_some(Self { trace_id, root_span_id, derived: false })
    }

    /// The flow as a sampled `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", encode_hex(&self.trace_id), encode_hex(&self.root_span_id))
    }
}

fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_depend_on_uid_and_generation_only() {
        let flow = Flow::derive("u-1", 1);
        assert_eq!(flow, Flow::derive("u-1", 1));
        assert_ne!(flow.trace_id, Flow::derive("u-1", 2).trace_id);
        assert_ne!(flow.trace_id, Flow::derive("u-2", 1).trace_id);
    }

    #[test]
    fn traceparent_round_trips() {
        let flow = Flow::derive("u-1", 1);
        let read = Flow::parse(&flow.traceparent());
        assert_eq!(read.map(|f| (f.trace_id, f.root_span_id)), Some((flow.trace_id, flow.root_span_id)));
    }

    #[test]
    fn an_invalid_annotation_falls_back_to_the_derived_flow() {
        for bad in ["", "00-0-0-01", "00-00000000000000000000000000000000-0000000000000001-01", "01-x"] {
            assert!(Flow::of("u", 1, Some(bad)).derived, "{bad}");
        }
    }
}
