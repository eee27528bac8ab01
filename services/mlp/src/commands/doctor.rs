//! `cargo mlp doctor`: what this machine has and lacks, each lack with its remedy.

use mlp_tilt::Toolchain;
use mlp_tilt::toolchain::Found;

use super::up::preflight::Machine;
use crate::cli::Global;
use crate::exit::{Failure, Outcome};

/// Programs outside the toolchain, what for, and how to get them.
const PROGRAMS: [(&str, &str, &str); 5] = [
    ("git", "gitops-sync reads file:// repositories through it", "apt-get install git"),
    ("go", "builds the toolchain once", "https://go.dev/dl, 1.26 or newer"),
    ("python3", "the AWS tests run moto in a virtual environment", "apt-get install python3-venv"),
    ("docker", "only for --cluster kind", "https://docs.docker.com/engine/install"),
    ("kind", "only for --cluster kind", "https://kind.sigs.k8s.io"),
];
/// Without these nothing works; the rest is for one feature each.
const REQUIRED: [&str; 2] = ["git", "go"];

/// Prints one line per thing; fails where something required is missing.
pub(crate) async fn doctor(global: &Global) -> Outcome {
    let layout = global.layout()?;
    let machine = Machine::this();
    let mut missing = Vec::new();
    for (program, purpose, remedy) in PROGRAMS {
        let there = (machine.has_program)(program);
        line(there, program, if there { purpose } else { remedy });
        if !there && REQUIRED.contains(&program) {
            missing.push(program);
        }
    }
    let toolchain = Toolchain::new(&layout, None);
    match toolchain.go().await {
        Ok(version) => line(true, "go version", &version),
        Err(error) => {
            line(false, "go version", &error.to_string());
            if !missing.contains(&"go") {
                missing.push("go");
            }
        }
    }
    for (tool, found) in toolchain.inventory() {
        match found {
            Some(found) => line(true, tool.name, &format!("{} ({})", tool.version, place(&found))),
            None => line(
                true,
                tool.name,
                &format!("{} will be built by `cargo mlp up`: {}", tool.version, tool.purpose),
            ),
        }
    }
    for finding in mlp_tilt::node::doctor(&layout) {
        let who = if finding.installable { "`cargo mlp up` does it: " } else { "" };
        line(finding.installable, "real node", &format!("{}; {who}{}", finding.problem, finding.remedy));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::missing(format!("missing: {}", missing.join(", "))))
}

fn place(found: &Found) -> String {
    found.path().display().to_string()
}

fn line(there: bool, what: &str, note: &str) {
    println!("{} {what:<26} {note}", if there { "✓" } else { "✗" });
}
