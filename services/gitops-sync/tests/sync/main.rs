//! The loop against a real API server, a real broker and real repositories.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod basics;
mod departure;
mod facts;
mod hooks;
mod operations;
mod options;
mod policies;
mod projects;
mod sets;
mod sources;
mod tools;
mod views;
mod webhooks;
mod world;
