//! `mlp broker-keys`: the Secrets that a broker in a cluster starts from, as manifests on stdout.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mlp_bus::accounts::{Keyring, OperatorMode, Party, render};

use crate::exit::{Failure, Outcome};

/// The namespace of the platform's own workloads.
pub(crate) const NAMESPACE: &str = "mlp-system";
/// What the broker and team-isolation mount.
pub(crate) const OPERATOR: &str = "nats-operator";
/// What every service mounts.
const CREDENTIALS: &str = "nats-credentials";
/// Where the broker of `deploy/base` keeps the accounts that are pushed to it.
const RESOLVER: &str = "/data/jwt";
/// The user that the services of a cluster are.
const USER: &str = "services";

/// Prints new keys; each call makes others.
pub(crate) fn broker_keys() -> Outcome {
    println!("{}", manifests(&Keyring::generate())?);
    Ok(())
}

/// The two Secrets as JSON documents, which are YAML too.
pub(crate) fn manifests(keyring: &Keyring) -> Result<String, Failure> {
    let now = jiff::Timestamp::now().as_second();
    let configuration = render(&OperatorMode::of(keyring, now), RESOLVER);
    let seed = keyring.seed().expose().clone();
    let user = keyring.service_credentials(Party::Platform, USER, now).expose().clone();
    let secrets = [
        secret(OPERATOR, [("operator.conf", configuration), ("operator.seed", seed)].into()),
        secret(CREDENTIALS, [("platform.creds", user)].into()),
    ];
    let texts = secrets.iter().map(serde_json::to_string_pretty);
    let texts: Result<Vec<_>, _> = texts.collect();
    texts.map(|texts| texts.join("\n---\n")).map_err(|error| Failure::while_doing("writing JSON", &error))
}

fn secret(name: &str, data: BTreeMap<&str, String>) -> KubernetesSecret {
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())));
    KubernetesSecret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        ..KubernetesSecret::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_secrets_hold_what_the_workloads_mount() {
        let text = manifests(&Keyring::generate()).unwrap();
        let documents: Vec<Value> =
            text.split("\n---\n").map(|document| serde_json::from_str(document).unwrap()).collect();
        let keys = |document: &Value| {
            let data = document["data"].as_object().unwrap();
            (document["metadata"]["name"].clone(), data.keys().cloned().collect::<Vec<_>>())
        };
        assert_eq!(
            keys(&documents[0]),
            (OPERATOR.into(), vec!["operator.conf".into(), "operator.seed".into()])
        );
        assert_eq!(keys(&documents[1]), (CREDENTIALS.into(), vec!["platform.creds".into()]));
    }
}
