//! A NATS account per team: operator mode with JWTs.
