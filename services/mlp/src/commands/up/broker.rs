//! The broker's accounts: `mlp-bus` writes the JWTs, the plane runs the server, this glues them.

use std::path::PathBuf;

use mlp_tilt::Layout;

/// Where the credentials of the platform's own account are.
pub(super) fn platform_credentials(layout: &Layout) -> PathBuf {
    layout.config().join("nats-platform.creds")
}

/// What team-isolation is told so that it can make accounts for teams: (variable, value).
pub(super) fn for_team_isolation(_layout: &Layout) -> Vec<(&'static str, String)> {
    Vec::new()
}
