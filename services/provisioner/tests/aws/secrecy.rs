//! The password goes to AWS and nowhere else, not even into the most talkative log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use mlp_provisioner::provider::Provider as _;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::double::{Double, ok, refusal};
use crate::wishes::{cache, database, password, provider};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_password_is_in_no_trace_of_the_sdk_or_of_ours() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let (database, cache) = (database("features", json!({})), cache("sessions", json!({})));
    let double = Double::start([
        ok("CreateDBInstance", ""),
        refusal("CreateDBInstance", 400, "InvalidParameterValue", "no"),
        ok("CreateReplicationGroup", ""),
        refusal("CreateReplicationGroup", 400, "InvalidParameterValue", "no"),
        refusal("DescribeDBInstances", 400, "InvalidParameterValue", "no"),
    ])
    .await;
    let provider = provider(&double.endpoint);
    for wish in [&database, &database, &cache, &cache] {
        let create = provider.plan(wish, &Default::default()).steps.remove(0);
        if let Err(error) = provider.call(wish, &create, Some(&password())).await {
            tracing::error!(%error, ?error, %create, "the call failed");
        }
    }
    provider.look(&database).await.unwrap_err();

    let sent = double.journal().iter().filter(|call| call.contains(password().expose())).count();
    assert_eq!(sent, 4, "AWS got the password with each creation");
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for word in ["DescribeDBInstances", "transmitting request"] {
        assert!(text.contains(word), "the log holds what the SDK says of other calls: {word}");
    }
    assert!(!text.contains(password().expose()), "the password is in the log");
}
