//! Databases and caches over gRPC: [`service`] translates, calls, translates; [`convert`] holds the
//! translations.

mod convert;
pub mod service;
