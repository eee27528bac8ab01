//! What is known, what it costs, and who pays: pure. The clock is an argument.
//!
//! In reading order: [`time`], [`quantity`], [`money`], [`price`] (sheets), [`sighting`] (what one look
//! teaches), [`ledger`] (what is known together), [`allocate`] (who pays for a span), [`hour`] (an hour,
//! closed).

pub mod allocate;
pub mod hour;
pub mod ledger;
pub mod money;
pub mod price;
pub mod quantity;
pub mod sighting;
pub mod time;

/// The service's name: its field manager, ServiceAccount and Lease.
pub const SERVICE: &str = "cost-attribution";
