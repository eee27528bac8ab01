//! A NATS account for each isolated team, and its credentials in the team's namespaces.
//!
//! Apart from the isolation itself, on a controller of its own: a team may work before it may listen,
//! and a broker that is down holds up nothing. What exists on the broker is ensured once per process
//! and resync; the Secret is written once per namespace.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, ResourceExt};
use mlp_bus::accounts::{AccountsError, Keyring, Team as Account, TeamAccounts, TeamLimits};
use mlp_crds::Team;
use mlp_model::{Classified, TeamName, labels};
use mlp_reconcile::{Applier, Controller, Next, ObjectRef, Reconciler, Store, conditions, watcher};
use tokio::sync::OnceCell;

use super::burst::Burst;
use super::recent::Waiting;
use super::report::ISOLATED;
use crate::domain::SERVICE;
use crate::domain::objects::namespace::TEAM_UID;

/// Name of the Secret with a team's credentials for the broker.
const SECRET: &str = "mlp-events-credentials";
/// Its key with the contents of a `.creds` file.
const CREDENTIALS: &str = "nats.creds";
/// Its key with the broker's addresses, separated by commas.
const SERVERS: &str = "servers";
/// The user that a team's own programs are.
const USER: &str = "team";

/// How long an account may be put off while other teams are being isolated.
const PATIENCE: Duration = Duration::from_secs(120);
/// After how long an account that was put off is tried again.
const LATER: Duration = Duration::from_secs(10);

/// Makes and takes away the accounts of teams. Clones share the connection.
#[derive(Clone)]
pub struct Accounts {
    servers: Vec<String>,
    keyring: Keyring,
    replicas: usize,
    connection: Arc<OnceCell<TeamAccounts>>,
    /// The isolation's own work: an account costs the broker as much as isolating a team costs the API
    /// server, and nobody waits for it.
    burst: Arc<Burst>,
}

impl Accounts {
    /// Works with the broker at `servers`, as the operator of `keyring`; connects when first used.
    pub fn new(servers: Vec<String>, keyring: Keyring, replicas: usize) -> Self {
        Self { servers, keyring, replicas, connection: Arc::default(), burst: Arc::default() }
    }

    async fn connected(&self) -> Result<&TeamAccounts, AccountsError> {
        let connect = || TeamAccounts::connect(self.servers.clone(), self.keyring.clone());
        self.connection.get_or_try_init(connect).await
    }

    /// Notes that a team is being isolated.
    pub(super) fn isolating(&self) {
        self.burst.note(Instant::now());
    }

    /// Whether many teams are being isolated at the moment.
    pub(super) fn is_burst(&self) -> bool {
        self.burst.is_on(Instant::now())
    }

    /// The account of a team; none for a name that no team may have.
    fn account(&self, team: &Team) -> Option<Account> {
        let name = team.name_any().parse::<TeamName>().ok()?;
        Some(Account { uid: team.uid()?, name, limits: TeamLimits::default(), replicas: self.replicas })
    }

    /// Takes the account of a team away; repeating it is harmless.
    pub(super) async fn revoke(&self, team: &Team) -> Result<(), AccountsError> {
        match self.account(team) {
            Some(account) => self.connected().await?.revoke(&account).await,
            None => Ok(()),
        }
    }
}

/// Why a team has no account yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker did not take it.
    #[error(transparent)]
    Broker(#[from] AccountsError),
    /// The Secret could not be written.
    #[error(transparent)]
    Kubernetes(#[from] mlp_reconcile::Error),
}

impl Classified for Error {
    fn class(&self) -> mlp_model::Class {
        match self {
            Self::Broker(error) => error.class(),
            Self::Kubernetes(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Broker(error) => error.reason(),
            Self::Kubernetes(error) => error.reason(),
        }
    }
}

/// Gives isolated teams their account.
pub struct AccountReconciler {
    accounts: Accounts,
    /// Since when accounts are put off.
    waiting: Waiting,
    applier: Applier,
    secrets: Store<KubernetesSecret>,
    /// uids of teams whose account this process has ensured.
    ensured: Mutex<HashSet<String>>,
}

impl AccountReconciler {
    /// Adds the watch of our Secrets to `controller`.
    pub fn new(
        controller: Controller<Team>,
        client: &kube::Client,
        accounts: Accounts,
    ) -> (Controller<Team>, Self) {
        let (secrets, writer) = mlp_reconcile::store();
        let selector = format!("{}={SERVICE}", labels::MANAGED_BY);
        let wakes = |secret: &KubernetesSecret| {
            secret.labels().get(labels::TEAM).map(|team| ObjectRef::new(team)).into_iter().collect()
        };
        let config = watcher::Config::default().labels(&selector);
        let controller = controller.watches_into(writer, Api::all(client.clone()), config, wakes);
        let applier = Applier::new(client.clone(), SERVICE);
        let (waiting, ensured) = (Waiting::default(), Mutex::default());
        (controller, Self { accounts, waiting, applier, secrets, ensured })
    }

    async fn ensure(&self, team: &Team, account: &Account) -> Result<(), Error> {
        let is_ensured = self.ensured.lock().unwrap_or_else(PoisonError::into_inner).contains(&account.uid);
        if !is_ensured {
            self.accounts.connected().await?.ensure(account).await?;
            self.ensured.lock().unwrap_or_else(PoisonError::into_inner).insert(account.uid.clone());
        }
        for namespace in team.status.iter().flat_map(|status| &status.namespaces) {
            let live = self.secrets.get(&ObjectRef::new(SECRET).within(&namespace.name));
            let written =
                live.as_ref().is_some_and(|live| live.annotations().get(TEAM_UID) == Some(&account.uid));
            if !written {
                let desired = self.secret(account, &namespace.name);
                self.applier.apply_with_live(live.as_deref(), &desired).await?;
            }
        }
        Ok(())
    }

    fn secret(&self, account: &Account, namespace: &str) -> KubernetesSecret {
        let now = Timestamp::now().as_second();
        let credentials = self.accounts.keyring.team_credentials(&account.uid, USER, now, None);
        let data = [
            (CREDENTIALS.to_owned(), ByteString(credentials.expose().clone().into_bytes())),
            (SERVERS.to_owned(), ByteString(self.accounts.servers.join(",").into_bytes())),
        ];
        let labels = [(labels::MANAGED_BY, SERVICE), (labels::TEAM, account.name.as_str())];
        KubernetesSecret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some(
                    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
                ),
                annotations: Some([(TEAM_UID.to_owned(), account.uid.clone())].into()),
                ..ObjectMeta::default()
            },
            data: Some(data.into()),
            ..KubernetesSecret::default()
        }
    }
}

impl Reconciler<Team> for AccountReconciler {
    type Error = Error;

    async fn reconcile(&self, team: Arc<Team>) -> Result<Next, Error> {
        let written = team.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let isolated = conditions::is_true(written, ISOLATED, None);
        if team.metadata.deletion_timestamp.is_some() || !isolated {
            return Ok(Next::Done);
        }
        let Some(account) = self.accounts.account(&team) else { return Ok(Next::Done) };
        if self.accounts.is_burst() && self.waiting.waits(&account.uid) < PATIENCE {
            return Ok(Next::After(LATER));
        }
        self.waiting.stops(&account.uid);
        self.ensure(&team, &account).await?;
        Ok(Next::Done)
    }
}
