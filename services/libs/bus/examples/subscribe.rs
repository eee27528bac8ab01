//! How another team reads the platform's facts in Rust: a durable pull consumer on the stream
//! `EVENTS` of its own NATS account. Prints one JSON line per fact, then acknowledges it.
//!
//! `NATS_URL=… NATS_CREDS=nats.creds cargo run -p mlp-bus --example subscribe -- --limit 10 --seconds 60`

use std::process::ExitCode;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, AckKind, Message};
use futures::StreamExt as _;
use serde_json::json;

/// The position in the stream is kept by the server under this name: stop and go on as you like.
const DURABLE: &str = "example-rust";

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match subscribe(flag("--limit", u64::MAX), Duration::from_secs(flag("--seconds", u64::MAX))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("subscribe: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn subscribe(limit: u64, within: Duration) -> Result<(), Error> {
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL to the broker's address")?;
    let file = std::env::var("NATS_CREDS").map_err(|_| "set NATS_CREDS to your team's .creds file")?;
    let options = async_nats::ConnectOptions::with_credentials_file(&file).await;
    let options = options.map_err(|error| format!("cannot use the credentials in {file}: {error}"))?;
    let client = options.connect(&url).await;
    let client = client.map_err(|error| format!("cannot connect to {url} with {file}: {error}"))?;
    let stream = jetstream::new(client).get_stream("EVENTS").await?;
    let durable = Some(DURABLE.to_owned());
    let config =
        pull::Config { durable_name: durable, ack_policy: AckPolicy::Explicit, ..Default::default() };
    let mut messages = stream.get_or_create_consumer(DURABLE, config).await?.messages().await?;
    let reading = async {
        for _ in 0..limit {
            let Some(message) = messages.next().await else { break };
            show(&message?).await?;
        }
        Ok(())
    };
    // The time being up is a way to end, no failure.
    tokio::time::timeout(within, reading).await.unwrap_or(Ok(()))
}

/// A fact may come twice: keep (aggregate, version) of what you handled, and skip what is not newer.
async fn show(message: &Message) -> Result<(), Error> {
    match mlp_bus::envelope::decode(&message.subject, message.headers.as_ref(), message.payload.clone(), 1) {
        Ok(event) => {
            let (id, version) = (event.id.as_str(), event.version);
            let line = json!({ "id": id, "type": event.message_type, "team": event.team,
                "subject": event.subject, "version": version });
            println!("{line}");
            message.double_ack().await
        }
        Err(malformed) => {
            eprintln!("subscribe: skipped {}: {malformed}", message.subject);
            message.ack_with(AckKind::Term).await
        }
    }
}

fn flag(name: &str, default: u64) -> u64 {
    let given = std::env::args().skip_while(|argument| argument != name).nth(1);
    given.and_then(|value| value.parse().ok()).unwrap_or(default)
}
