//! What AWS makes of a request.
