//! One GET of JSON from a loopback endpoint of the platform (Jaeger, admin ports).

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::exit::{Failure, chain};

/// How long one answer may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How large one answer may be.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// Status and body of `GET url`.
pub(crate) async fn get(url: &str) -> Result<(u16, Vec<u8>), Failure> {
    let uri: http::Uri =
        url.parse().map_err(|error| Failure::failed(format!("`{url}` is no address: {error}")))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let work = async {
        let response = client.get(uri).await.map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>((status, body.to_bytes().to_vec()))
    };
    match tokio::time::timeout(REQUEST_LIMIT, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(reason)) => Err(Failure::failed(format!("no answer from {url}: {reason}"))),
        Err(_elapsed) => {
            Err(Failure::not_ready(format!("no answer from {url} within {} s", REQUEST_LIMIT.as_secs())))
        }
    }
}
