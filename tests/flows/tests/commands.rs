//! The commands as a person calls them, right and wrong.

use mlp_flows::cli::{mlp, mlp_ok};
use mlp_flows::{Tested, variable};
use serde_json::Value;

fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = mlp(arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "mlp {}: {message}", arguments.join(" "));
    for part in parts {
        assert!(message.contains(part), "mlp {}: {part:?} is not in: {message}", arguments.join(" "));
    }
}

#[test]
fn wrong_calls_end_with_one_line_and_the_documented_code() {
    fails(&["logs", "billing"], 2, &["no log of `billing`", "team-isolation"]);
    fails(&["restart", "billing"], 2, &["no service `billing`", "team-isolation"]);
    fails(&["trace", "nonsense"], 2, &["no trace id", "team/ml"]);
    fails(&["up", "--environment", "prod"], 4, &["nothing was done", "AWS credentials", "AWS_REGION"]);
    fails(&["up", "--environment", "production"], 2, &["local, dev, staging or prod"]);
    fails(&["up", "--cluster", "kind"], 4, &["nothing was done", "kind"]);
    fails(&["up", "--cluster", "kubeconfig"], 4, &["--context"]);
    fails(&["test", "everything"], 2, &["no rung `everything`", "unit"]);
    fails(&["status", "--state", ".mlp/nowhere"], 1, &["no platform is up here", "cargo mlp up"]);
}

#[test]
fn a_foreign_context_is_refused_without_yes() -> Tested {
    let folder = std::path::Path::new(&variable("MLP_STATE")).join("foreign.yaml");
    std::fs::write(
        &folder,
        "apiVersion: v1\nkind: Config\nclusters: [{name: far, cluster: {server: 'https://far.example:6443'}}]\n\
         contexts: [{name: far, context: {cluster: far, user: u}}]\nusers: [{name: u, user: {}}]\n",
    )?;
    let output = std::process::Command::new(mlp_flows::cli::binary())
        .args(["up", "--cluster", "kubeconfig", "--context", "far"])
        .env("KUBECONFIG", &folder)
        .output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(message.contains("far.example") && message.contains("--yes"), "{message}");
    Ok(())
}

#[test]
fn status_lists_teams_with_quota_and_cost_and_never_calls_simulated_work_ready() -> Tested {
    let status: Value = serde_json::from_str(&mlp_ok(&["status", "-o", "json"]))?;
    let teams = status["teams"].as_array().ok_or("no teams")?;
    for name in ["app", "data", "ml"] {
        let team = teams.iter().find(|team| team["name"] == name).ok_or(name)?;
        assert_eq!(team["ready"]["ready"], true, "{team}");
        assert!(team["quota"]["requests.cpu"].as_str().is_some_and(|quota| quota.contains('/')), "{team}");
        assert!(team["usdPerHour"].is_string(), "{team}");
    }
    for request in status["requests"].as_array().ok_or("no requests")? {
        let (ready, simulated) = (&request["ready"]["ready"], &request["ready"]["simulated"]);
        assert!(ready != simulated, "either works or is simulated: {request}");
    }
    Ok(())
}

#[test]
fn events_are_readable_as_json_with_their_bodies() -> Tested {
    let line = mlp_ok(&["events", "tail", "--all", "--team", "ml", "--limit", "1", "-o", "json"]);
    let event: Value = serde_json::from_str(line.trim())?;
    assert_eq!(event["team"], "ml");
    assert!(event["data"].get("team").is_some() && event["data"].get("base64").is_none(), "{event}");
    Ok(())
}

#[test]
fn the_support_bundle_holds_logs_and_no_keys() -> Tested {
    let file = std::path::Path::new(&variable("MLP_STATE")).join("bundle.tar.gz");
    mlp_ok(&["support-bundle", "--output", &file.display().to_string()]);
    let output = std::process::Command::new("tar").args(["-xOzf"]).arg(&file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("platformServices") && text.contains("nats-server"));
    let token = std::fs::read_to_string(variable("MLP_TOKEN_FILE"))?;
    assert!(!text.contains("PRIVATE KEY") && !text.contains(token.trim()));
    Ok(())
}

#[test]
fn completion_and_help_are_there() {
    assert!(mlp_ok(&["completion", "bash"]).contains("_mlp"));
    assert!(mlp_ok(&["--help"]).contains("Exit codes"));
}
