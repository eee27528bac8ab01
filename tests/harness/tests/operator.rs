//! Operator mode: a server that knows accounts only as signed tokens.

use std::time::Duration;

use async_nats::jetstream;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mlp_harness::{Access, NatsOptions, NatsServer, Operator};
use nkeys::KeyPair;
use serde_json::{Value, json};

/// A NATS JWT: who says what of whom.
fn token(issuer: &KeyPair, subject: &KeyPair, nats: Value) -> Result<String, nkeys::error::Error> {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = json!({
        "jti": subject.public_key(),
        "iat": 1_700_000_000,
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": "test",
        "nats": nats,
    });
    let signed = format!("{header}.{}", encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

fn account(streams: i64) -> Value {
    json!({"type": "account", "version": 2, "limits": {
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": streams, "disk_storage": streams, "streams": streams,
        "consumer": streams,
    }})
}

#[tokio::test]
async fn only_users_of_a_known_account_enter() {
    let (operator, system, platform) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let folder = tempfile::tempdir().unwrap();
    let access = Access::Operator(Operator {
        jwt: token(&operator, &operator, json!({"type": "operator", "version": 2})).unwrap(),
        system_account: system.public_key(),
        resolver: folder.path().join("accounts"),
        preload: vec![
            (system.public_key(), token(&operator, &system, account(0)).unwrap()),
            (platform.public_key(), token(&operator, &platform, account(-1)).unwrap()),
        ],
    });
    let server = NatsServer::start(NatsOptions { access, ..NatsOptions::default() }).await.unwrap();
    assert!(async_nats::connect(server.url()).await.is_err(), "nobody enters without a token");

    let user = KeyPair::new_user();
    let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let jwt = token(&platform, &user, claims).unwrap();
    let options = async_nats::ConnectOptions::with_jwt(jwt, move |nonce| {
        let signature = user.sign(&nonce).map_err(async_nats::AuthError::new);
        async move { signature }
    });
    let client = options.connection_timeout(Duration::from_secs(5)).connect(server.url()).await.unwrap();
    let account = jetstream::new(client).query_account().await.unwrap();
    assert_eq!(account.streams, 0);
}
