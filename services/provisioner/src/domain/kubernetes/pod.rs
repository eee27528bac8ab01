//! The pod of a service: restricted, bounded, probed, its password from the Secret alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction,
    NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm, PodSecurityContext, PodSpec, PodTemplateSpec,
    PreferredSchedulingTerm, Probe, ResourceRequirements, SeccompProfile, SecretKeySelector,
    SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mlp_model::labels;

use crate::domain::binding::{PASSWORD, owner_labels};
use crate::domain::model::{Engine, Wish};

/// The user of both images.
const USER: i64 = 999;
/// Where the Secret is mounted.
const BINDING: &str = "/bindings/own";
/// Where PostgreSQL keeps its data: a folder of the volume, so that the volume's own files are apart.
const PGDATA: &str = "/var/lib/postgresql/data/pgdata";

/// Which images run: text in which `{engine}` and `{version}` stand for the request's, the version
/// being the major one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// For databases, for example `mlp/postgres:{version}`.
    pub database: String,
    /// For caches, for example `mlp/{engine}:{version}`.
    pub cache: String,
}

impl Images {
    /// The image of a request.
    pub fn of(&self, wish: &Wish) -> String {
        let text = match wish.engine {
            Engine::Postgres => &self.database,
            Engine::Valkey | Engine::Redis => &self.cache,
        };
        text.replace("{engine}", wish.engine.as_str()).replace("{version}", wish.major())
    }

    /// The version that the image's tag names.
    pub fn version(&self, wish: &Wish) -> String {
        let image = self.of(wish);
        image.rsplit_once(':').map_or_else(String::new, |(_, tag)| tag.to_owned())
    }
}

pub(super) fn template(wish: &Wish, images: &Images) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(owner_labels(wish)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            affinity: Some(away_from_simulation()),
            containers: vec![container(wish, images)],
            volumes: Some(volumes(wish)),
            termination_grace_period_seconds: Some(60),
            ..PodSpec::default()
        }),
    }
}

/// Simulated nodes run nothing; a pod goes there only where there is no other.
fn away_from_simulation() -> Affinity {
    let real = NodeSelectorRequirement {
        key: labels::SIMULATED_NODE.to_owned(),
        operator: "DoesNotExist".to_owned(),
        values: None,
    };
    let term = PreferredSchedulingTerm {
        preference: NodeSelectorTerm { match_expressions: Some(vec![real]), match_fields: None },
        weight: 100,
    };
    Affinity {
        node_affinity: Some(NodeAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
            required_during_scheduling_ignored_during_execution: None,
        }),
        ..Affinity::default()
    }
}

fn container(wish: &Wish, images: &Images) -> Container {
    let probe = |period, failures| Probe {
        exec: Some(ExecAction { command: Some(probe_command(wish)) }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    };
    Container {
        name: wish.engine.as_str().to_owned(),
        image: Some(images.of(wish)),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        env: Some(environment(wish)),
        ports: Some(vec![ContainerPort {
            name: Some(wish.engine.as_str().to_owned()),
            container_port: i32::from(wish.engine.port()),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // A first start makes the database: five minutes before anybody loses patience.
        startup_probe: Some(probe(1, 300)),
        readiness_probe: Some(probe(5, 3)),
        liveness_probe: Some(probe(20, 6)),
        resources: Some(resources(wish)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(wish)),
        ..Container::default()
    }
}

/// Succeeds when the server takes connections over TCP, as its clients make them.
fn probe_command(wish: &Wish) -> Vec<String> {
    let words: Vec<&str> = match (wish.engine, &wish.database) {
        (Engine::Postgres, Some(database)) => {
            vec!["pg_isready", "-q", "-h", "127.0.0.1", "-U", &wish.username, "-d", database]
        }
        (Engine::Postgres, None) => vec!["pg_isready", "-q", "-h", "127.0.0.1"],
        (Engine::Valkey, _) => vec!["sh", "-c", "valkey-cli ping | grep -q PONG"],
        (Engine::Redis, _) => vec!["sh", "-c", "redis-cli ping | grep -q PONG"],
    };
    words.into_iter().map(str::to_owned).collect()
}

fn environment(wish: &Wish) -> Vec<EnvVar> {
    let plain = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    };
    let file = format!("{BINDING}/{PASSWORD}");
    match wish.engine {
        Engine::Postgres => vec![
            plain("POSTGRES_USER", &wish.username),
            plain("POSTGRES_DB", wish.database.as_deref().unwrap_or(&wish.username)),
            plain("POSTGRES_PASSWORD_FILE", &file),
            plain("PGDATA", PGDATA),
        ],
        Engine::Valkey | Engine::Redis => {
            let key = SecretKeySelector { key: PASSWORD.to_owned(), name: wish.full_name(), optional: None };
            let source = EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() };
            vec![
                plain("REDIS_PASSWORD_FILE", &file),
                // Read by the command-line client in the probe.
                EnvVar { name: "REDISCLI_AUTH".to_owned(), value: None, value_from: Some(source) },
            ]
        }
    }
}

/// Memory is reserved whole, because a server that loses it loses its clients; of CPU a
/// quarter core, unless the request names a number.
fn resources(wish: &Wish) -> ResourceRequirements {
    let amounts = |cpu: &str| -> BTreeMap<String, Quantity> {
        let pairs = [("cpu", cpu), ("memory", wish.size.memory.as_str())];
        pairs.into_iter().map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(amounts(if wish.class.is_some() { "250m" } else { wish.size.cpu.as_str() })),
        limits: Some(amounts(wish.size.cpu.as_str())),
        claims: None,
    }
}

fn mounts(wish: &Wish) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    let own = mount("binding", BINDING, Some(true));
    match wish.engine {
        Engine::Postgres => vec![
            own,
            mount(super::DATA, "/var/lib/postgresql/data", None),
            mount("run", "/var/run/postgresql", None),
            mount("scratch", "/tmp", None),
        ],
        Engine::Valkey | Engine::Redis => vec![own, mount("scratch", "/data", None)],
    }
}

fn volumes(wish: &Wish) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let own = Volume {
        name: "binding".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(wish.full_name()),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    match wish.engine {
        Engine::Postgres => vec![own, empty("run"), empty("scratch")],
        Engine::Valkey | Engine::Redis => vec![own, empty("scratch")],
    }
}
