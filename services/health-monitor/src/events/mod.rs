//! Facts in and out.

pub mod consume;
pub mod convert;
pub mod publish;
