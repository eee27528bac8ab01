//! The attack list of `isolation.md` section 6, row by row, on a real API server.
//!
//! Each row is a request that a member of a team might make, sent with that person's identity, and a
//! twin that differs in the one thing under attack. The attack must be refused by the control that the
//! row names, with its reason; the twin must be admitted. The service makes the teams and is stopped
//! before the first request, so every verdict is the API server's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod attack;
mod control_plane;
mod going;
mod host;
mod kills;
mod list;
mod mtb;
mod network;
mod objects;
mod persona;
mod quota;
mod rights;
mod rows;
mod scheduling;
mod storage;
mod world;
