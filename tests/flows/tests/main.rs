//! Flows on the platform that `cargo mlp test` brought up; one binary, one module per story.

mod adoption;
mod applications;
mod bad_input;
mod commands;
mod isolation;
mod onboarding;
mod opening;
mod readme;
mod steady;
mod story;
mod subscribers;
mod traffic;
mod wrong_machine;
