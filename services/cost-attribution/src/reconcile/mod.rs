//! Looking: what runs ([`observe`]), what it costs ([`prices`]), whom it is metered for ([`teams`]); and
//! closing hours ([`close`]).

pub mod clock;
pub mod close;
pub mod observe;
pub mod prices;
pub mod teams;
