//! Region and credentials from the environment, and what is said when they are missing.
//!
//! Each case runs in a process of its own: this same test with another environment.

use std::process::Command;

use mlp_aws::Source;
use mlp_model::{Class, Classified as _};
use mlp_provisioner::provider::aws::{AwsProvider, Place};
use serde_json::json;

use crate::double::{Double, ok};
use crate::wishes::database;

/// Present in the processes that look; its value is the reason that is expected.
const CASE: &str = "MLP_TEST_AWS_CASE";

/// Runs the calling test again with `environment` alone; fails when it fails there.
fn again(test: &str, environment: &[(&str, &str)]) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .env("HOME", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{environment:?}:\n{said}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let Ok(reason) = std::env::var(CASE) else {
        let test = "credentials::what_is_missing_is_named";
        again(test, &[(CASE, "AwsRegionMissing")]);
        again(test, &[(CASE, "AwsCredentialsMissing"), ("AWS_REGION", "us-west-2")]);
        return;
    };
    let error = AwsProvider::new(Place::default()).look(&database("features", json!({}))).await.unwrap_err();
    assert_eq!(error.reason(), reason, "{error}");
    assert!(matches!(error.class(), Class::Waiting(_)), "looked at again: somebody may set them");
    let variable = if reason == "AwsRegionMissing" { "AWS_REGION" } else { "AWS_SECRET_ACCESS_KEY" };
    assert!(error.to_string().contains(variable), "{error}");
}

#[tokio::test]
async fn the_environment_is_used() {
    if std::env::var(CASE).is_err() {
        let test = "credentials::the_environment_is_used";
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKIDFROMENV"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_REGION", "eu-west-1"),
        ];
        again(test, &[&keys[..], &[(CASE, "found")]].concat());
        return;
    }
    let double =
        Double::start([ok("DescribeDBInstances", "<DBInstances/>"), ok("DescribeDBSnapshots", "")]).await;
    let place = Place {
        source: Source { endpoint: Some(double.endpoint.clone()), ..Source::default() },
        ..Place::default()
    };
    AwsProvider::new(place).look(&database("features", json!({}))).await.unwrap();
    double.journal();
}
