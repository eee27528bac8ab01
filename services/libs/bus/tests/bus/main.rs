//! The bus against real servers. Each test starts its own, on free ports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests prove by failing"
)]

mod accounts;
mod basics;
mod drain;
mod failures;
mod kill;
mod outages;
mod subscribers;
mod support;
mod telemetry;
