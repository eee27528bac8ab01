//! The gRPC server: health, reflection, deadlines, limits, drain.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tonic::client::Grpc;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use mlp_host::grpc::{ChannelOptions, ServiceChannel, channel};
use mlp_host::{Host, Outcome};
use mlp_model::Secret;

use crate::fake_api::FakeApi;
use crate::probe;
use crate::support::{LIMIT, get, host, until};

/// A host that serves the probe, and an API that knows the token `good`.
pub(crate) async fn served(more: &[&str]) -> (FakeApi, Host, SocketAddr) {
    let api = FakeApi::default();
    let groups = vec!["system:authenticated".to_owned(), "ml".to_owned()];
    api.state().tokens.insert("good".to_owned(), ("ada".to_owned(), groups));
    let host = host(&api, more).await;
    let address = host.serve_grpc(probe::routes(host.authorizer()), probe::descriptors()).await.unwrap();
    (api, host, address)
}

pub(crate) async fn client(address: SocketAddr, token: Option<&str>) -> ServiceChannel {
    let token = token.map(|token| Secret::new(token.to_owned()));
    let options = ChannelOptions { token, ..ChannelOptions::default() };
    channel(&format!("http://{address}"), &options).await.unwrap()
}

pub(crate) async fn call(channel: &ServiceChannel, method: &str) -> Result<Response<()>, Status> {
    call_with(channel, method, Request::new(())).await
}

pub(crate) async fn call_with(
    channel: &ServiceChannel,
    method: &str,
    request: Request<()>,
) -> Result<Response<()>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = format!("/{}/{method}", probe::NAME).parse().unwrap();
    grpc.unary(request, path, ProstCodec::<(), ()>::default()).await
}

async fn watch(channel: &ServiceChannel, request: Request<()>) -> Streaming<()> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = format!("/{}/Watch", probe::NAME).parse().unwrap();
    grpc.server_streaming(request, path, ProstCodec::<(), ()>::default()).await.unwrap().into_inner()
}

#[tokio::test]
async fn health_follows_readiness_without_a_token() {
    let (_api, host, address) = served(&[]).await;
    let mut health = HealthClient::new(client(address, None).await);
    let ask = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", probe::NAME] {
        let answer = health.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    // The second is in the descriptor set, but not in the routes.
    for absent in ["no.such.Service", "mlp.test.v1.ElsewhereService"] {
        assert_eq!(health.check(ask(absent)).await.unwrap_err().code(), Code::NotFound);
    }
    let mut watched = health.watch(ask("")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    host.readiness("bus", || Err("away".to_owned()));
    assert_eq!(health.check(ask("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    let next = tokio::time::timeout(LIMIT, watched.message()).await.unwrap().unwrap().unwrap();
    assert_eq!(next.status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_lists_services_without_a_token() {
    let (_api, _host, address) = served(&[]).await;
    let mut reflection = ServerReflectionClient::new(client(address, None).await);
    let ask = |message| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        futures::stream::iter([request])
    };
    let list = MessageRequest::ListServices(String::new());
    let mut answers = reflection.server_reflection_info(ask(list)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    let expected = [probe::NAME, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
    assert!(expected.iter().all(|name| names.contains(name)) && names.len() == 3, "{names:?}");
    let symbol = MessageRequest::FileContainingSymbol(format!("{}.Answer", probe::NAME));
    let mut answers = reflection.server_reflection_info(ask(symbol)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
}

/// `grpc-status` of a call by bare HTTP/2: tonic's client would answer a deadline by itself.
async fn bare_call(address: SocketAddr, method: &str, timeout: &str) -> String {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<axum::body::Body>();
    let request = http::Request::post(format!("http://{address}/{}/{method}", probe::NAME))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", "Bearer good")
        .header("grpc-timeout", timeout)
        .body(axum::body::Body::from(vec![0; 5]))
        .unwrap();
    let response = client.request(request).await.unwrap();
    response.headers()["grpc-status"].to_str().unwrap().to_owned()
}

async fn counted(host: &Host, method: &str, code: &str) -> bool {
    let (_, text) = get(host.admin_address(), "/metrics").await;
    let wanted = [format!("rpc_method=\"{method}\""), format!("rpc_response_status_code=\"{code}\"")];
    text.lines().any(|line| wanted.iter().all(|part| line.contains(part)))
}

#[tokio::test]
async fn the_callers_deadline_and_the_servers_both_end_a_call() {
    let (_api, host, address) = served(&["--grpc-max-deadline", "300ms"]).await;
    let begun = Instant::now();
    assert_eq!(bare_call(address, "Sleep", "80m").await, "4", "DEADLINE_EXCEEDED");
    assert!(begun.elapsed() < Duration::from_millis(280), "the caller's is shorter");
    let begun = Instant::now();
    let status = call(&client(address, Some("good")).await, "Sleep").await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() >= Duration::from_millis(300), "the server's holds without one");
    assert!(counted(&host, "mlp.test.v1.ProbeService/Sleep", "DEADLINE_EXCEEDED").await);
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_call() {
    let (_api, host, address) = served(&[]).await;
    let channel = client(address, Some("good")).await;
    call(&channel, "Answer").await.unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(50), call(&channel, "Sleep")).await;
    assert!(gone.is_err());
    until("the call is cancelled", || counted(&host, "mlp.test.v1.ProbeService/Sleep", "CANCELLED")).await;
}

#[tokio::test]
async fn a_stream_ends_at_the_callers_deadline_but_not_at_the_servers() {
    let (_api, _host, address) = served(&["--grpc-max-deadline", "50ms"]).await;
    let channel = client(address, Some("good")).await;
    let mut request = Request::new(());
    request.metadata_mut().insert("grpc-timeout", "400m".parse().unwrap());
    let begun = Instant::now();
    let mut stream = watch(&channel, request).await;
    assert!(stream.message().await.unwrap().is_some());
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let (_api, _host, address) = served(&["--grpc-max-request", "64"]).await;
    let channel = client(address, Some("good")).await;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = format!("/{}/Answer", probe::NAME).parse().unwrap();
    let request = Request::new("x".repeat(1_000));
    let sent: Result<Response<()>, Status> =
        grpc.unary(request, path, ProstCodec::<String, ()>::default()).await;
    let status = sent.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.message().contains("larger than 64 bytes"));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_slot() {
    let (_api, _host, address) = served(&["--grpc-max-connections", "1"]).await;
    let first = client(address, Some("good")).await;
    assert!(call(&first, "Answer").await.is_ok());
    let second = tokio::spawn(async move {
        let second = client(address, Some("good")).await;
        call(&second, "Answer").await.is_ok()
    });
    // The first still works while the second waits.
    assert!(call(&first, "Answer").await.is_ok());
    assert!(!second.is_finished());
    drop(first);
    assert!(tokio::time::timeout(LIMIT, second).await.unwrap().unwrap());
}

#[tokio::test]
async fn calls_are_counted_by_method_and_unknown_methods_as_one() {
    let (_api, host, address) = served(&[]).await;
    let channel = client(address, Some("good")).await;
    call(&channel, "Answer").await.unwrap();
    assert_eq!(call(&channel, "Broken").await.unwrap_err().code(), Code::Internal);
    for name in ["NoSuch", "NorThis"] {
        assert_eq!(call(&channel, name).await.unwrap_err().code(), Code::Unimplemented);
    }
    let admin = host.admin_address();
    let counted = |method: &str, code: &str, times: &str| {
        let wanted = [format!("rpc_method=\"{method}\""), format!("rpc_response_status_code=\"{code}\"")];
        let times = format!(" {times}");
        async move {
            let (_, text) = get(admin, "/metrics").await;
            let mut lines =
                text.lines().filter(|line| line.starts_with("rpc_server_call_duration_seconds_count"));
            lines.any(|line| wanted.iter().all(|part| line.contains(part)) && line.ends_with(&times))
        }
    };
    until("answers are counted", || counted("mlp.test.v1.ProbeService/Answer", "OK", "1")).await;
    until("errors are counted", || counted("mlp.test.v1.ProbeService/Broken", "INTERNAL", "1")).await;
    until("unknown methods are one", || counted("_OTHER", "UNIMPLEMENTED", "2")).await;
}

#[tokio::test]
async fn the_drain_lets_calls_finish_ends_streams_and_closes_the_port() {
    let (_api, host, address) = served(&["--drain-timeout", "2s", "--grpc-max-deadline", "200ms"]).await;
    let channel = client(address, Some("good")).await;
    let mut stream = watch(&channel, Request::new(())).await;
    assert!(stream.message().await.unwrap().is_some());
    let slow = {
        let channel = channel.clone();
        tokio::spawn(async move { call(&channel, "Sleep").await })
    };
    until("the slow call runs", || async { host.telemetry().registry().gather().len() > 1 }).await;
    host.request_shutdown();
    let outcome = host.finish(|| async move {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed first");
    });
    assert_eq!(outcome.await, Outcome::Drained);
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(slow.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded, "finished, not cut");
}
