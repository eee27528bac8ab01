//! A request as the providers see it: a Database or a Cache, defaults applied.
//!
//! Schema and CEL check every field at the API server; what is left to refuse here is what one
//! object alone cannot say.

use std::fmt;

use mlp_crds::cache::{CacheEngine, DeletionPolicy};
use mlp_crds::database::{InstanceClass, InstanceResources};
use mlp_crds::{Cache, Database};
use mlp_model::Environment;

/// Which kind of service is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A relational database.
    Database,
    /// An in-memory store.
    Cache,
}

impl Kind {
    /// The custom resource's kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Cache => "Cache",
        }
    }

    /// Suffix of the names of what is made, so that a Database and a Cache may have the same name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Cache => "cache",
        }
    }

    /// Plural of the custom resource, as in the API's paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Database => "databases",
            Self::Cache => "caches",
        }
    }
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// Valkey.
    Valkey,
    /// Redis.
    Redis,
}

impl Engine {
    /// The engine's name as both providers spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        }
    }

    /// The port it listens on everywhere.
    pub const fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Valkey | Self::Redis => 6379,
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Database or Cache.
    pub kind: Kind,
    /// Namespace of the request and of its Secret.
    pub namespace: String,
    /// Name of the request.
    pub name: String,
    /// uid of the request.
    pub uid: String,
    /// Generation of the request.
    pub generation: i64,
    /// Where the platform runs.
    pub environment: Environment,
    /// What is to run.
    pub engine: Engine,
    /// Version, major or major.minor.
    pub version: String,
    /// Size by name; absent where it is given by numbers.
    pub class: Option<InstanceClass>,
    /// CPU in cores and memory in bytes, as Kubernetes quantities.
    pub size: InstanceResources,
    /// Storage as a Kubernetes quantity; absent where nothing is stored.
    pub storage: Option<String>,
    /// Name of the database in the server.
    pub database: Option<String>,
    /// Name of the owner.
    pub username: String,
    /// Instances beside the first.
    pub replicas: u32,
    /// A standby that takes over.
    pub high_availability: bool,
    /// Days that backups or snapshots are kept.
    pub retention_days: u32,
    /// Whether deletion is refused.
    pub protected: bool,
    /// What becomes of the data.
    pub deletion: DeletionPolicy,
    /// The namespace's team and who pays; absent while no team holds the namespace.
    pub payer: Option<Payer>,
}

/// The team that holds a namespace, and who pays for what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer {
    /// The team's name.
    pub team: String,
    /// The cost centre.
    pub cost_center: String,
}

/// The one rule that picks a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderName {
    /// Pods in the team's namespace.
    Kubernetes,
    /// RDS and ElastiCache.
    Aws,
}

impl ProviderName {
    /// The provider of an environment, for every kind of service alike.
    pub const fn of(environment: Environment) -> Self {
        if environment.uses_aws() { Self::Aws } else { Self::Kubernetes }
    }

    /// The name in status, Secret and facts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Aws => "aws",
        }
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Wish {
    /// What a Database asks for.
    pub fn of_database(database: &Database, environment: Environment) -> Self {
        let spec = &database.spec;
        Self {
            kind: Kind::Database,
            namespace: database.metadata.namespace.clone().unwrap_or_default(),
            name: database.metadata.name.clone().unwrap_or_default(),
            uid: database.metadata.uid.clone().unwrap_or_default(),
            generation: database.metadata.generation.unwrap_or_default(),
            environment,
            engine: Engine::Postgres,
            version: spec.version.clone(),
            class: by_name(spec.class, spec.resources.as_ref()),
            size: size(spec.class, spec.resources.as_ref()),
            storage: Some(spec.storage.to_string()),
            database: Some(spec.database_name.clone()),
            username: spec.username.clone(),
            replicas: 0,
            high_availability: spec.high_availability,
            retention_days: spec.backup.retention_days,
            protected: spec.deletion_protection,
            deletion: spec.deletion_policy,
            payer: None,
        }
    }

    /// What a Cache asks for.
    pub fn of_cache(cache: &Cache, environment: Environment) -> Self {
        let spec = &cache.spec;
        Self {
            kind: Kind::Cache,
            namespace: cache.metadata.namespace.clone().unwrap_or_default(),
            name: cache.metadata.name.clone().unwrap_or_default(),
            uid: cache.metadata.uid.clone().unwrap_or_default(),
            generation: cache.metadata.generation.unwrap_or_default(),
            environment,
            engine: match spec.engine {
                CacheEngine::Valkey => Engine::Valkey,
                CacheEngine::Redis => Engine::Redis,
            },
            version: spec.version.clone(),
            class: by_name(spec.class, spec.resources.as_ref()),
            size: size(spec.class, spec.resources.as_ref()),
            storage: None,
            database: None,
            // The engines' built-in user; the password is its.
            username: "default".to_owned(),
            replicas: spec.replicas,
            high_availability: spec.high_availability,
            retention_days: spec.snapshot_retention_days,
            protected: spec.deletion_protection,
            deletion: spec.deletion_policy,
            payer: None,
        }
    }

    /// Name of the Secret and of everything that is made in the namespace: `<name>-database`.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.name, self.kind.suffix())
    }

    /// The CloudEvents subject: `databases/ml-team/features`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.kind.plural(), self.namespace, self.name)
    }

    /// The major part of the version.
    pub fn major(&self) -> &str {
        self.version.split('.').next().unwrap_or(&self.version)
    }
}

fn by_name(class: Option<InstanceClass>, resources: Option<&InstanceResources>) -> Option<InstanceClass> {
    match resources {
        Some(_) => None,
        None => Some(class.unwrap_or_default()),
    }
}

fn size(class: Option<InstanceClass>, resources: Option<&InstanceResources>) -> InstanceResources {
    let named = |cpu, memory| InstanceResources {
        cpu: mlp_crds::Amount::new(cpu),
        memory: mlp_crds::Amount::new(memory),
    };
    match (resources, class.unwrap_or_default()) {
        (Some(resources), _) => resources.clone(),
        (None, InstanceClass::Small) => named("1", "1Gi"),
        (None, InstanceClass::Medium) => named("2", "2Gi"),
        (None, InstanceClass::Large) => named("2", "16Gi"),
    }
}
