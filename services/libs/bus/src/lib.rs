//! Events over NATS JetStream: envelope, subjects, publisher, consumers, dead letters.
