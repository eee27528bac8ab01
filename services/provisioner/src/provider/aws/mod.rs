//! RDS and ElastiCache, called: look, and one call per step.
//!
//! What to call is decided in [`crate::domain::aws`]. Nothing here waits for AWS to finish: a step
//! returns when AWS has accepted it, and the next look finds how far it got.

mod elasticache;
mod error;
mod rds;

pub use error::Error;

use mlp_aws::Source;
use mlp_model::{Classified as _, Secret};
use tokio::sync::OnceCell;

use super::Provider;
use crate::domain::aws::{self as rules, Observed, Refusal, Step, check, names};
use crate::domain::binding::Address;
use crate::domain::model::{Kind, ProviderName, Wish};
use crate::domain::plan::{Plan, State};

/// Where in AWS services are made; the account's defaults stand in for what is not given.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Where calls go.
    pub source: Source,
    /// RDS subnet group.
    pub database_subnets: Option<String>,
    /// ElastiCache subnet group.
    pub cache_subnets: Option<String>,
    /// Security groups that let the teams' pods in.
    pub security_groups: Vec<String>,
}

/// RDS and ElastiCache in one account and region.
pub struct AwsProvider {
    place: Place,
    clients: OnceCell<Clients>,
}

/// One client per service; they share connections and credentials.
struct Clients {
    rds: aws_sdk_rds::Client,
    elasticache: aws_sdk_elasticache::Client,
}

impl AwsProvider {
    /// Works at `place`. Region and credentials are looked for at the first call, and again at each
    /// further one until they are there: what is missing belongs on the request that needs it.
    pub const fn new(place: Place) -> Self {
        Self { place, clients: OnceCell::const_new() }
    }

    async fn clients(&self) -> Result<&Clients, Error> {
        let load = || async {
            let config = mlp_aws::load(&self.place.source).await?;
            let rds = aws_sdk_rds::Client::new(&config);
            Ok(Clients { rds, elasticache: aws_sdk_elasticache::Client::new(&config) })
        };
        self.clients.get_or_try_init(load).await
    }

    /// Reads what AWS has under the identifier of `wish`, whoever owns it; changes nothing.
    ///
    /// # Errors
    /// [`Error::Unconfigured`] says which variables to set;
    /// [`Error::Call`] when AWS refuses or cannot be reached.
    pub async fn look(&self, wish: &Wish) -> Result<Observed, Error> {
        let id = names::identifier(wish);
        let clients = self.clients().await?;
        match wish.kind {
            Kind::Database => rds::observe(&clients.rds, &id).await,
            Kind::Cache => elasticache::observe(&clients.elasticache, &id).await,
        }
    }

    /// Does one step. Doing it twice is harmless.
    ///
    /// `maybe_password` is the one that the connection Secret already holds; only a step that
    /// creates sends it.
    ///
    /// # Errors
    /// [`Error::Refused`] for a password that AWS does not take or an identifier of another owner,
    /// [`Error::Call`] when AWS refuses or cannot be reached.
    pub async fn call(
        &self,
        wish: &Wish,
        step: &Step,
        maybe_password: Option<&Secret<String>>,
    ) -> Result<(), Error> {
        let Clients { rds, elasticache } = self.clients().await?;
        let password = || -> Result<&Secret<String>, Refusal> {
            let password = maybe_password.ok_or(Refusal::Password("there is none"))?;
            check::password(wish.kind, password).map(|()| password)
        };
        match step {
            Step::CreateDatabase(create) => {
                rds::create(rds, create, &wish.uid, password()?, &self.place).await
            }
            Step::ModifyDatabase { id, change, at } => rds::modify(rds, id, change, *at).await,
            Step::DeleteDatabase { id, keep } => rds::delete(rds, id, *keep).await,
            Step::TagDatabase { arn, tags } => rds::tag(rds, arn, tags).await,
            Step::CreateCache(create) => {
                elasticache::create(elasticache, create, &wish.uid, password()?, &self.place).await
            }
            Step::ModifyCache { id, change, at } => elasticache::modify(elasticache, id, change, *at).await,
            Step::AddReplicas { id, to } => elasticache::add_replicas(elasticache, id, *to).await,
            Step::RemoveReplicas { id, to } => elasticache::remove_replicas(elasticache, id, *to).await,
            Step::DeleteCache { id, keep } => elasticache::delete(elasticache, id, *keep).await,
            Step::TagCache { arn, tags } => elasticache::tag(elasticache, arn, tags).await,
        }
    }
}

impl Provider for AwsProvider {
    type Observed = Observed;
    type Step = Step;

    const NAME: ProviderName = ProviderName::Aws;

    /// AWS chooses the name.
    fn address(&self, _wish: &Wish) -> Option<Address> {
        None
    }

    async fn observe(&self, wish: &Wish) -> Result<Observed, crate::error::Error> {
        Ok(self.look(wish).await?)
    }

    fn plan(&self, wish: &Wish, observed: &Observed) -> Plan<Step> {
        rules::decide(wish, observed).unwrap_or_else(|refusal| {
            Plan::rest(State::Failed { reason: refusal.reason(), message: refusal.to_string() })
        })
    }

    fn plan_removal(&self, wish: &Wish, observed: &Observed) -> Plan<Step> {
        rules::remove(wish, observed)
    }

    async fn apply(
        &self,
        wish: &Wish,
        _observed: &Observed,
        step: &Step,
        password: Option<&Secret<String>>,
    ) -> Result<(), crate::error::Error> {
        mlp_reconcile::effect::note();
        Ok(self.call(wish, step, password).await?)
    }
}

/// Names tried for a final snapshot; more than one only if a name is taken.
const SNAPSHOT_NAMES: u32 = 5;

/// A number of ours as AWS takes it.
fn number(value: impl TryInto<i32>) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}

/// A number of AWS'; what is missing or negative is 0.
fn count<T: TryFrom<i32> + Default>(value: Option<i32>) -> T {
    value.and_then(|value| T::try_from(value).ok()).unwrap_or_default()
}
