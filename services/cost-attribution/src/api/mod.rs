//! Costs over gRPC: [`service`] authorises, asks and answers; [`report`] puts closed hours and the open
//! one together; [`convert`] holds the translations.

mod convert;
pub mod report;
pub mod service;
