//! TLS: server certificates, client certificates as identity, and the client's care with tokens.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::Code;

use mlp_host::StartError;
use mlp_host::grpc::{ChannelOptions, ClientError, channel};
use mlp_model::Secret;

use crate::fake_api::FakeApi;
use crate::grpc::call;
use crate::probe;
use crate::support::host;

struct Pki {
    folder: tempfile::TempDir,
    client: (String, String),
    stranger: (String, String),
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(
    ca: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    subject: &[(DnType, &str)],
) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    (certificate.pem(), key.serialize_pem())
}

impl Pki {
    fn new() -> Self {
        let (ca, other) = (authority("platform"), authority("elsewhere"));
        let subject = [(DnType::CommonName, "grace"), (DnType::OrganizationName, "platform-engineers")];
        let server = leaf(&ca, &["localhost"], &[]);
        let pki = Self {
            folder: tempfile::tempdir().unwrap(),
            client: leaf(&ca, &[], &subject),
            stranger: leaf(&other, &[], &subject),
        };
        for (name, text) in [("ca.pem", ca.pem()), ("cert.pem", server.0), ("key.pem", server.1)] {
            std::fs::write(pki.path(name), text).unwrap();
        }
        pki
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, certificate: Option<&(String, String)>) -> ChannelOptions {
        let certificate = certificate
            .map(|(chain, key)| (chain.clone().into_bytes(), Secret::new(key.clone().into_bytes())));
        let ca = Some(self.path("ca.pem"));
        ChannelOptions { ca, server_name: Some("localhost".into()), certificate, ..ChannelOptions::default() }
    }
}

async fn served(pki: &Pki) -> (FakeApi, mlp_host::Host, String) {
    let api = FakeApi::default();
    api.state().tokens.insert("good".to_owned(), ("ada".to_owned(), Vec::new()));
    let flags = [
        format!("--grpc-tls-cert={}", pki.path("cert.pem").display()),
        format!("--grpc-tls-key={}", pki.path("key.pem").display()),
        format!("--grpc-client-ca={}", pki.path("ca.pem").display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let host = host(&api, &flags).await;
    let address = host.serve_grpc(probe::routes(host.authorizer()), probe::descriptors()).await.unwrap();
    (api, host, format!("https://{address}"))
}

#[tokio::test]
async fn a_client_certificate_is_an_identity_and_a_token_still_works() {
    let pki = Pki::new();
    let (api, _host, endpoint) = served(&pki).await;
    let with_certificate = channel(&endpoint, &pki.options(Some(&pki.client))).await.unwrap();
    let answer = call(&with_certificate, "WhoAmI").await.unwrap();
    assert_eq!(answer.metadata().get("x-identity").unwrap(), "grace platform-engineers,system:authenticated");
    assert_eq!(api.count("POST", "tokenreviews"), 0);

    let options = ChannelOptions { token: Some(Secret::new("good".into())), ..pki.options(None) };
    let with_token = channel(&endpoint, &options).await.unwrap();
    assert_eq!(call(&with_token, "WhoAmI").await.unwrap().metadata().get("x-identity").unwrap(), "ada ");

    let with_neither = channel(&endpoint, &pki.options(None)).await.unwrap();
    assert_eq!(call(&with_neither, "WhoAmI").await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_get_in() {
    let pki = Pki::new();
    let (_api, _host, endpoint) = served(&pki).await;
    let refused = match channel(&endpoint, &pki.options(Some(&pki.stranger))).await {
        Ok(channel) => call(&channel, "WhoAmI").await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
}

#[tokio::test]
async fn tls_files_that_are_missing_or_wrong_are_named() {
    let pki = Pki::new();
    let (cert, key) = (pki.path("cert.pem"), pki.path("absent.pem"));
    let flags = [format!("--grpc-tls-cert={}", cert.display()), format!("--grpc-tls-key={}", key.display())];
    let host = host(&FakeApi::default(), &[&flags[0], &flags[1]]).await;
    let error = host.serve_grpc(probe::routes(host.authorizer()), probe::descriptors()).await.unwrap_err();
    assert!(matches!(error, StartError::TlsFile { flag: "grpc-tls-key", .. }), "{error}");
    std::fs::write(&key, "no key at all").unwrap();
    let error = host.serve_grpc(probe::routes(host.authorizer()), probe::descriptors()).await.unwrap_err();
    assert!(matches!(error, StartError::Tls(_)), "{error}");
}

#[tokio::test]
async fn the_client_keeps_its_token_off_the_open_network_and_names_what_is_wrong() {
    let token = || Some(Secret::new("good".to_owned()));
    let options = ChannelOptions { token: token(), ..ChannelOptions::default() };
    let refused = channel("http://grpc.example:9090", &options).await.unwrap_err();
    assert!(matches!(refused, ClientError::TokenInClear(_)), "{refused}");
    let refused = channel("127.0.0.1:9090", &ChannelOptions::default()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Endpoint(_)), "{refused}");
    let ca = Some(PathBuf::from("/nowhere/ca.pem"));
    let options = ChannelOptions { ca, ..ChannelOptions::default() };
    let refused = channel("https://127.0.0.1:1", &options).await.unwrap_err();
    assert!(matches!(refused, ClientError::Ca { .. }), "{refused}");
    let refused = channel("http://127.0.0.1:1", &ChannelOptions::default()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Connect { .. }), "{refused}");
}
