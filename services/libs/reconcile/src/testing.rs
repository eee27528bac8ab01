//! A mock of the API server for tests of reconcilers.
