//! JWTs as NATS writes them: header `ed25519-nkey`, claims under `nats`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use mlp_model::Secret;
use nkeys::KeyPair;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::keyring::seed_of;

/// What a token says beside its `nats` part.
pub(super) struct Token<'a> {
    pub(super) issuer: &'a KeyPair,
    /// Public key the token is about.
    pub(super) subject: &'a str,
    pub(super) name: &'a str,
    /// Seconds since 1970.
    pub(super) issued: i64,
    /// Seconds since 1970; no end when none.
    pub(super) expires: Option<i64>,
    pub(super) nats: Value,
}

impl Token<'_> {
    /// Signs the token. The same claims give the same text.
    #[expect(clippy::expect_used, reason = "the pairs here hold their seeds, so they can sign")]
    pub(super) fn sign(&self) -> String {
        let mut claims = Map::new();
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("iss", self.issuer.public_key().into());
        set("sub", self.subject.into());
        set("name", self.name.into());
        set("iat", self.issued.into());
        set("nats", self.nats.clone());
        if let Some(expires) = self.expires {
            set("exp", expires.into());
        }
        let digest = Sha256::digest(Value::Object(claims.clone()).to_string().as_bytes());
        claims.insert("jti".to_owned(), BASE64.encode(digest).into());
        let header = BASE64.encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" }).to_string());
        let text = format!("{header}.{}", BASE64.encode(Value::Object(claims).to_string()));
        let signature = self.issuer.sign(text.as_bytes()).expect("the pair holds its seed");
        format!("{text}.{}", BASE64.encode(signature))
    }
}

/// The `nats` part of a token; `None` when the text is none. The signature is not looked at.
pub(super) fn claims_of(token: &str) -> Option<Value> {
    let claims = BASE64.decode(token.trim().split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get("nats").cloned()
}

/// A `.creds` file: the user's token and seed.
pub(super) fn credentials(token: &str, user: &KeyPair) -> Secret<String> {
    let seed = seed_of(user);
    Secret::new(format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        seed.expose()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_three_parts_that_verify() {
        let operator = KeyPair::new_operator();
        let subject = operator.public_key();
        let nats = json!({ "type": "operator", "version": 2 });
        let token =
            Token { issuer: &operator, subject: &subject, name: "mlp", issued: 7, expires: None, nats };
        let text = token.sign();
        assert_eq!(text, token.sign());
        let (signed, signature) = text.rsplit_once('.').unwrap();
        operator.verify(signed.as_bytes(), &BASE64.decode(signature).unwrap()).unwrap();
        let claims = BASE64.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((claims["iat"].as_i64(), claims["sub"].as_str()), (Some(7), Some(subject.as_str())));
        assert_eq!(claims_of(&text).as_ref(), Some(&claims["nats"]));
        assert_eq!(claims_of("x"), None);
    }
}
