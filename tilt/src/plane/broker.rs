//! nats-server as a component of the plane.

use std::fs::{self, File};
use std::io::{self, Read};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mlp_model::Secret;

use super::component::{Component, Invocation, Probe, Site};
use super::nats::{Access, Config};
use super::{Broker, PlaneError};
use crate::layout::{Layout, LayoutError, write_private};
use crate::toolchain::pins;

/// Bound of all streams together, in bytes.
const STORE_LIMIT: u64 = 16 * 1024 * 1024 * 1024;

/// The user of the platform's account when the broker asks for a password.
pub(super) const USER: &str = "platform";

pub(super) const NATS_SERVER: Component = Component {
    tool: pins::NATS_SERVER,
    ports: &["nats", "nats-monitor"],
    probe: Probe::Page("nats-monitor", "/healthz"),
    ready_limit: Duration::from_secs(30),
    stop_grace: Duration::from_secs(20),
    invocation,
};

fn invocation(site: &Site) -> Result<Invocation, PlaneError> {
    let access = match &site.options.broker {
        Broker::Operator(operator) => Access::Operator(operator.clone()),
        Broker::Password | Broker::None => {
            Access::Password { user: USER.into(), password: password(&site.layout)? }
        }
    };
    let config = Config {
        name: "mlp-local".into(),
        host: "127.0.0.1".into(),
        port: site.port("nats")?,
        monitor_port: Some(site.port("nats-monitor")?),
        store: site.layout.data("nats"),
        sync_always: true,
        max_file_store: Some(STORE_LIMIT),
        max_payload: None,
        cluster: None,
        access,
    };
    let text = config.render();
    let file = site.write_config("nats.conf", &text)?;
    Ok(Invocation::new(vec!["--config".into(), file.display().to_string()]).with_file(&text))
}

/// The password of the platform's account, made at first use and kept.
pub(super) fn password(layout: &Layout) -> Result<Secret<String>, LayoutError> {
    let path = layout.pki().join("nats-password");
    let broken = |source| LayoutError::Io { action: "read", path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(password) => return Ok(Secret::new(password)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(broken(error)),
    }
    let mut bytes = [0; 24];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).map_err(broken)?;
    let password = URL_SAFE_NO_PAD.encode(bytes);
    write_private(&path, password.as_bytes())?;
    Ok(Secret::new(password))
}
