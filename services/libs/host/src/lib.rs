//! The process shell: config, telemetry, admin port, gRPC, lease, supervision, drain.
