//! Tests of whole flows on a real control plane.
