//! Applications over gRPC: [`service`] translates, calls, translates; [`convert`] holds the translations.

mod asks;
mod convert;
pub mod service;
mod views;
