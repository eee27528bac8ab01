//! Tests that hold the shape of this repository.
