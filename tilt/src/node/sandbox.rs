//! The namespaces that the node lives in.
//!
//! One process holds them and is process 1 of all that runs on the node. When it ends, the kernel
//! ends every process, mount, interface and packet rule of the node with it; so nothing is left
//! after a crash that one signal does not clear.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::NodeError;
use super::config::name_servers;
use super::site::{SANDBOX, Site};
use crate::layout::{create_private_dir, write_private};
use crate::plane::volumes;
use crate::process::{Process, Spec};

const INIT: &str = include_str!("init.sh");

/// The namespaces are there within this time.
const READY_LIMIT: Duration = Duration::from_secs(15);

/// Their holder gets this long to end by itself.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(2);

/// The files that may list name servers, the one that people see first.
const RESOLV_CONFS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Name servers of this machine that the node can reach.
pub(super) fn reachable_name_servers() -> Vec<std::net::Ipv4Addr> {
    let lists = RESOLV_CONFS.iter().map(|path| name_servers(&fs::read_to_string(path).unwrap_or_default()));
    lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

/// Starts the holder, or finds the one that runs; says whether it is new.
pub(super) async fn enter(site: &Site) -> Result<(Process, bool), NodeError> {
    let spec = spec(site)?;
    match site.attach(SANDBOX) {
        Some(process) if process.runs_as(&spec) => return Ok((process, false)),
        Some(mut process) => process.stop(STOP_GRACE).await?,
        None => {}
    }
    let mut process = Process::spawn(&spec)?;
    let ready = PathBuf::from(format!("/proc/{}/root/run/mlp-node/ready", process.identity().pid));
    process.ready(READY_LIMIT, || async { ready.exists() }).await?;
    Ok((process, true))
}

fn spec(site: &Site) -> Result<Spec, NodeError> {
    let (folder, volumes) = (site.folder(), volumes::folder(&site.layout));
    create_private_dir(&folder)?;
    create_private_dir(&volumes)?;
    let script = site.config("init.sh");
    write_private(&script, INIT.as_bytes())?;
    let resolver = site.config("resolv.conf");
    let servers: String =
        reachable_name_servers().iter().map(|server| format!("nameserver {server}\n")).collect();
    // In place, since the running node has this very file mounted.
    fs::write(&resolver, servers).map_err(|source| NodeError::io("write", &resolver, source))?;
    let namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc"];
    let options = ["--fork", "--kill-child=KILL", "--mount-proc", "--propagation", "slave", "sh"];
    let paths = [&script, &folder].map(|path| path.display().to_string());
    let [script, folder] = paths;
    let mut arguments: Vec<String> = namespaces.iter().chain(&options).map(|word| (*word).into()).collect();
    arguments.extend([script, folder, site.name.clone(), resolver.display().to_string()]);
    arguments.extend([volumes.display().to_string(), volumes::PROVISIONED.into()]);
    Ok(Spec {
        name: SANDBOX.into(),
        program: "unshare".into(),
        arguments,
        environment: BTreeMap::from([("MLP_NODE_INIT".into(), digest(INIT))]),
        log: site.layout.log(SANDBOX),
        record: Some(site.record(SANDBOX)),
    })
}

/// What runs `program` inside; it ends when the process that waits for it here is killed.
pub(super) fn inside(site: &Site, sandbox: i32, name: &str, program: &Path, arguments: Vec<String>) -> Spec {
    let mut words = words(sandbox);
    words.extend(["setpriv", "--pdeathsig", "KILL"].map(String::from));
    words.push(program.display().to_string());
    words.extend(arguments);
    Spec {
        name: name.into(),
        program: "nsenter".into(),
        arguments: words,
        environment: BTreeMap::new(),
        log: site.layout.log(name),
        record: Some(site.record(name)),
    }
}

/// Arguments of nsenter up to the program that runs inside.
pub(super) fn words(sandbox: i32) -> Vec<String> {
    let processes = format!("--pid=/proc/{sandbox}/ns/pid_for_children");
    let target = sandbox.to_string();
    ["--target", &target, "--mount", "--net", "--uts", "--ipc", &processes, "--"].map(String::from).to_vec()
}

/// A short fingerprint of a text, for configurations that are compared.
pub(super) fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
