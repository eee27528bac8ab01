//! Protobuf events and gRPC contracts, with the generated code in git.
