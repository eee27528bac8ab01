//! The connection Secret, by the Service Binding specification: the same keys whoever provides.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mlp_model::{Secret, labels};

use super::SERVICE;
use super::model::{Engine, ProviderName, Wish};

/// Key of the password.
pub const PASSWORD: &str = "password";
/// Annotation with the uid of the request that a Secret belongs to.
pub const REQUEST_UID: &str = "mlplatform.dev/request-uid";

/// Kubernetes' recommended label: `database` or `cache`.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// DNS name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether clients must speak TLS.
    pub tls: bool,
}

/// The specification's `type`: which protocol a client needs.
pub const fn protocol(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgresql",
        Engine::Valkey | Engine::Redis => "redis",
    }
}

/// The Secret of a request. Before there is an address it holds all that is known, the password
/// above all: what is made with a password must not exist before the password is kept.
pub fn secret(
    wish: &Wish,
    provider: ProviderName,
    password: &Secret<String>,
    maybe_address: Option<&Address>,
) -> KubernetesSecret {
    let protocol = protocol(wish.engine);
    let mut data = vec![
        ("type", protocol.to_owned()),
        ("provider", provider.as_str().to_owned()),
        ("username", wish.username.clone()),
        (PASSWORD, password.expose().clone()),
    ];
    if let Some(database) = &wish.database {
        data.push(("database", database.clone()));
    }
    if let Some(address) = maybe_address {
        data.push(("host", address.host.clone()));
        data.push(("port", address.port.to_string()));
        data.push(("uri", uri(wish, password, address)));
    }
    let data = data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
    KubernetesSecret {
        metadata: ObjectMeta {
            name: Some(wish.full_name()),
            namespace: Some(wish.namespace.clone()),
            labels: Some(owner_labels(wish)),
            annotations: Some([(REQUEST_UID.to_owned(), wish.uid.clone())].into()),
            ..ObjectMeta::default()
        },
        type_: Some(format!("servicebinding.io/{protocol}")),
        data: Some(data.collect()),
        ..KubernetesSecret::default()
    }
}

/// The connection as one text. The generated password needs no escaping in it.
fn uri(wish: &Wish, password: &Secret<String>, address: &Address) -> String {
    let Address { host, port, tls } = address;
    let (username, password) = (&wish.username, password.expose());
    match (&wish.database, wish.engine) {
        (Some(database), Engine::Postgres) => {
            let mode = if *tls { "?sslmode=require" } else { "" };
            format!("postgresql://{username}:{password}@{host}:{port}/{database}{mode}")
        }
        _ => {
            let scheme = if *tls { "rediss" } else { "redis" };
            format!("{scheme}://{username}:{password}@{host}:{port}")
        }
    }
}

/// The labels by which this service finds what it made for a request.
pub fn owner_labels(wish: &Wish) -> BTreeMap<String, String> {
    let instance = wish.full_name();
    [
        (labels::MANAGED_BY, SERVICE),
        (labels::PART_OF, "ml-platform"),
        (labels::NAME, wish.engine.as_str()),
        (labels::INSTANCE, instance.as_str()),
        (COMPONENT, wish.kind.suffix()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The password in a Secret, where it has one.
pub fn password_of(secret: &KubernetesSecret) -> Option<Secret<String>> {
    let bytes = secret.data.as_ref()?.get(PASSWORD)?;
    String::from_utf8(bytes.0.clone()).ok().filter(|text| !text.is_empty()).map(Secret::new)
}
