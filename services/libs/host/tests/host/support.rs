//! What the tests share: arguments, a started host, a look at its admin port.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use mlp_host::telemetry::Telemetry;
use mlp_host::{Host, HostArgs, HostBuilder};

use crate::fake_api::FakeApi;

/// How long a condition may take before the test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Names, may be given again
    #[arg(long)]
    pub(crate) team: Vec<String>,
    /// A switch
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// A secret
    #[arg(long, hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

/// Arguments that listen on free loopback ports, and `more`.
pub(crate) fn args(more: &[&str]) -> HostArgs {
    let base = ["--admin-listen=127.0.0.1:0", "--grpc-listen=127.0.0.1:0", "--drain-timeout=4s"];
    let given = |flag: &str| more.iter().any(|other| other.split('=').next() == flag.split('=').next());
    let base = base.into_iter().filter(|flag| !given(flag));
    let all = std::iter::once("test").chain(base).chain(more.iter().copied());
    mlp_host::config::load_from::<Args>(all).unwrap().host
}

/// A host over the scripted API, with telemetry that is not made global.
pub(crate) async fn host(api: &FakeApi, more: &[&str]) -> Host {
    let host = starting(api, more).await;
    host.readiness_checks().set_started();
    host
}

/// The same, whose app has not come to [`Host::run`] yet.
pub(crate) async fn starting(api: &FakeApi, more: &[&str]) -> Host {
    let args = args(more);
    let telemetry = Telemetry::build("test", &args).unwrap();
    HostBuilder::new("test", args).kube(api.client()).telemetry(telemetry).start().await.unwrap()
}

/// The status code and body of `GET path`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Waits until `check` holds, looking often.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let wait = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "never: {what}");
}
