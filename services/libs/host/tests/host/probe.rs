//! A gRPC service for the tests: `mlp.test.v1.ProbeService`, whose messages are empty.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use prost::Message as _;
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};
use tonic::body::Body;
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use mlp_host::grpc::{Access, Authorizer, Deadline, Identity};

pub(crate) const NAME: &str = "mlp.test.v1.ProbeService";

/// The encoded descriptor set of the service.
pub(crate) fn descriptors() -> &'static [u8] {
    let method = |name: &str, streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".mlp.test.v1.Nothing".to_owned()),
        output_type: Some(".mlp.test.v1.Nothing".to_owned()),
        server_streaming: Some(streaming),
        ..MethodDescriptorProto::default()
    };
    let service = |name: &str, methods: &[MethodDescriptorProto]| ServiceDescriptorProto {
        name: Some(name.to_owned()),
        method: methods.to_vec(),
        ..ServiceDescriptorProto::default()
    };
    let names = ["Answer", "Sleep", "Broken", "WhoAmI", "Guarded"];
    let mut methods: Vec<_> = names.iter().map(|name| method(name, false)).collect();
    methods.push(method("Watch", true));
    let file = FileDescriptorProto {
        name: Some("mlp/test/v1/probe.proto".to_owned()),
        package: Some("mlp.test.v1".to_owned()),
        message_type: vec![DescriptorProto {
            name: Some("Nothing".to_owned()),
            ..DescriptorProto::default()
        }],
        service: vec![service("ProbeService", &methods), service("ElsewhereService", &methods)],
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}

pub(crate) fn routes(authorizer: Authorizer) -> Routes {
    Routes::new(Probe { authorizer })
}

#[derive(Clone)]
struct Probe {
    authorizer: Authorizer,
}

impl NamedService for Probe {
    const NAME: &'static str = NAME;
}

type Answering<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

impl tower::Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let authorizer = self.authorizer.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<(), ()>::default());
            Ok(match method.as_str() {
                "Watch" => grpc.server_streaming(Endless, request).await,
                _ => grpc.unary(Unary { method, authorizer }, request).await,
            })
        })
    }
}

struct Unary {
    method: String,
    authorizer: Authorizer,
}

impl UnaryService<()> for Unary {
    type Response = ();
    type Future = Answering<()>;

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let (method, authorizer) = (self.method.clone(), self.authorizer.clone());
        Box::pin(async move {
            match method.as_str() {
                "Answer" => Ok(Response::new(())),
                "Sleep" => {
                    assert!(request.extensions().get::<Deadline>().is_some());
                    std::future::pending().await
                }
                "Broken" => Err(Status::internal("out of order")),
                "WhoAmI" => {
                    assert!(!request.metadata().contains_key("authorization"), "the token stays outside");
                    let identity = Identity::of(&request).unwrap();
                    let mut response = Response::new(());
                    let text = format!("{} {}", identity.user, identity.groups.join(","));
                    response.metadata_mut().insert("x-identity", text.parse().unwrap());
                    Ok(response)
                }
                "Guarded" => {
                    let access =
                        Access::new("get", "mlplatform.dev", "teams").in_namespace("ml-team").named("ml");
                    authorizer.check(&request, &access).await?;
                    Ok(Response::new(()))
                }
                _ => Err(Status::unimplemented("no such method")),
            }
        })
    }
}

/// Sends one message and stays open.
struct Endless;

impl ServerStreamingService<()> for Endless {
    type Response = ();
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<(), Status>> + Send>>;
    type Future = Answering<Self::ResponseStream>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        use futures::StreamExt as _;
        let one = futures::stream::once(async { Ok(()) });
        let stream: Self::ResponseStream = Box::pin(one.chain(futures::stream::pending()));
        Box::pin(async move { Ok(Response::new(stream)) })
    }
}
