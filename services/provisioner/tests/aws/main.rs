//! The AWS provider against moto, for the shape of real calls, and against a scripted double, for
//! what moto does not do: states that take time, refusals, throttling, lost answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests prove by failing"
)]

mod caches;
mod credentials;
mod databases;
mod double;
mod faults;
mod secrecy;
mod wishes;
