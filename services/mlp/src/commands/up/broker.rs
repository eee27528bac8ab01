//! The broker's accounts: `mlp-bus` makes keys and tokens, the plane runs the server, this glues them.
//!
//! Everything is derived from one operator seed in the state folder. Each service gets credentials of
//! the platform's account; team-isolation gets the seed too, since it makes the teams' accounts.

use std::path::{Path, PathBuf};

use mlp_bus::accounts::{Keyring, OperatorMode, Party};
use mlp_model::Secret;
use mlp_tilt::layout::write_private;
use mlp_tilt::plane::nats::Operator;
use mlp_tilt::{Broker, Layout};

use crate::exit::Failure;
use crate::services::SERVICES;

/// The user of the person who runs `mlp`.
const OPERATOR_USER: &str = "mlp";

/// How the broker is to run; makes the seed at first and each user's credentials.
pub(super) fn options(layout: &Layout) -> Result<Broker, Failure> {
    let keyring = keyring(layout)?;
    let now = issued(layout)?;
    for user in SERVICES.into_iter().chain([OPERATOR_USER]) {
        let path = credentials(layout, user);
        if !path.is_file() {
            write(&path, &keyring.service_credentials(Party::Platform, user, now))?;
        }
    }
    let mode = OperatorMode::of(&keyring, now);
    Ok(Broker::Operator(Operator {
        jwt: mode.operator,
        system_account: mode.system_account,
        resolver: layout.data("nats-accounts"),
        preload: mode.preload,
    }))
}

/// Where the credentials of a user of the platform's account are.
pub(crate) fn credentials(layout: &Layout, user: &str) -> PathBuf {
    layout.config().join(format!("nats-{user}.creds"))
}

/// Where the credentials of the person who runs `mlp` are.
pub(super) fn operator_credentials(layout: &Layout) -> PathBuf {
    credentials(layout, OPERATOR_USER)
}

/// Where the operator's seed is; team-isolation reads it to make accounts for teams.
pub(super) fn seed_file(layout: &Layout) -> PathBuf {
    layout.pki().join("nats-operator.seed")
}

/// When the platform's keys were made: all tokens are dated so, and the broker's configuration is the
/// same at every start.
fn issued(layout: &Layout) -> Result<i64, Failure> {
    let path = seed_file(layout);
    let made = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
    let made = made.map_err(|error| Failure::while_doing(&format!("reading {}", path.display()), &error))?;
    jiff::Timestamp::try_from(made)
        .map(|made| made.as_second())
        .map_err(|error| Failure::while_doing("reading the date of the broker's keys", &error))
}

fn keyring(layout: &Layout) -> Result<Keyring, Failure> {
    let path = seed_file(layout);
    match std::fs::read_to_string(&path) {
        Ok(seed) => Keyring::from_seed(&Secret::new(seed))
            .map_err(|error| Failure::while_doing(&format!("reading {}", path.display()), &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let keyring = Keyring::generate();
            write(&path, &keyring.seed())?;
            Ok(keyring)
        }
        Err(error) => Err(Failure::while_doing(&format!("reading {}", path.display()), &error)),
    }
}

fn write(path: &Path, secret: &Secret<String>) -> Result<(), Failure> {
    write_private(path, secret.expose().as_bytes())
        .map_err(|error| Failure::while_doing("keeping the broker's keys", &error))
}
