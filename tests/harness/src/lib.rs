//! What tests start: real NATS servers, a real API server, waiting with a limit.
