//! Health of every resource and team; incidents opened and closed.
