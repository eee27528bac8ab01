//! The node's processes: containerd, kubelet and kube-proxy inside the namespaces.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::command::{QUICK, run};
use super::config::{self, CONTAINERD_SOCKET, Kubelet};
use super::images::{self, Image};
use super::policy::{self, AGENT, READY};
use super::sandbox::{self, digest};
use super::site::Site;
use super::{NetworkAgent, NodeError, machine};
use crate::kubeconfig::{self, Proof};
use crate::layout::write_private;
use crate::pki::{Authority, Leaf, Pair, Pki};
use crate::plane::volumes;
use crate::process::{Process, Spec};

/// containerd answers within this time.
const CONTAINERD_LIMIT: Duration = Duration::from_secs(30);

/// The network agent knows the cluster within this time.
const AGENT_LIMIT: Duration = Duration::from_secs(30);

/// What importing one image may take.
const IMPORT_LIMIT: Duration = Duration::from_secs(300);

/// How long a process whose configuration changed may take to end.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Starts containerd unless it runs as it should, waits for it, and gives it the images.
pub(super) async fn containerd(site: &Site, sandbox: i32, images: &[Image]) -> Result<(), NodeError> {
    let networks = site.config("networks");
    let network = config::pod_network(&site.network.pods()).to_string();
    write_private(&networks.join("pods.conflist"), network.as_bytes())?;
    let wrapper = site.config("runtime");
    let runc = machine::program("runc").unwrap_or_else(|| "runc".into());
    write_private(&wrapper, config::runtime(&runc, volumes::PROVISIONED).as_bytes())?;
    make_executable(&wrapper)?;
    let text = config::containerd(&machine::cni_folder(), &networks, &wrapper, images::PAUSE);
    let file = site.config("containerd.toml");
    write_private(&file, text.as_bytes())?;
    let program = machine::program("containerd").unwrap_or_else(|| "containerd".into());
    let arguments = vec!["--config".into(), file.display().to_string()];
    let mut spec = sandbox::inside(site, sandbox, "containerd", &program, arguments);
    spec.environment = environment(&(text + &network));
    let mut process = ensure(site, &spec).await?;
    process.ready(CONTAINERD_LIMIT, || async { ctr(sandbox, &["version"], QUICK).await.is_ok() }).await?;
    import(site, sandbox, images).await
}

/// Imports the images that containerd does not have in this version.
async fn import(site: &Site, sandbox: i32, images: &[Image]) -> Result<(), NodeError> {
    let record = site.config("images.json");
    let known: BTreeMap<String, PathBuf> =
        fs::read(&record).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let listed = ctr(sandbox, &["images", "ls", "-q"], QUICK).await?;
    let present = |image: &Image| {
        let full = format!("docker.io/{}", image.reference);
        known.get(&image.reference) == Some(&image.archive) && listed.lines().any(|line| line == full)
    };
    for image in images.iter().filter(|image| !present(image)) {
        ctr(sandbox, &["images", "import", &image.archive.display().to_string()], IMPORT_LIMIT).await?;
    }
    let imported: BTreeMap<&str, &Path> =
        images.iter().map(|image| (image.reference.as_str(), image.archive.as_path())).collect();
    Ok(write_private(&record, &serde_json::to_vec(&imported).unwrap_or_default())?)
}

async fn ctr(sandbox: i32, arguments: &[&str], limit: Duration) -> Result<String, NodeError> {
    let mut words = sandbox::words(sandbox);
    words.extend(["ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"].map(String::from));
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    run("nsenter", &words, limit).await
}

/// Starts kubelet and kube-proxy unless they run as they should; says whether kubelet is new.
pub(super) async fn agents(
    site: &Site,
    sandbox: i32,
    [kubelet, kube_proxy]: [&Path; 2],
    labels: &BTreeMap<String, String>,
    api_port: u16,
) -> Result<bool, NodeError> {
    let pki = Pki::open(&site.layout, SystemTime::now())?;
    let authority = pki.authority(Authority::Cluster).certificate;
    let address = site.network.node_address();
    let serving = pki.ensure(&Leaf::server("kubelet-serving", &[&site.name, &address.to_string()]))?;
    let user = format!("system:node:{}", site.name);
    let kubelet_identity = identity(site, &pki, api_port, "kubelet", &user, &["system:nodes"])?;
    let proxy_identity = identity(site, &pki, api_port, "kube-proxy", "system:kube-proxy", &[])?;
    let spec = kubelet_spec(site, sandbox, kubelet, labels, &kubelet_identity, &serving, &authority)?;
    let fresh = !site.attach("kubelet").is_some_and(|process| process.runs_as(&spec));
    ensure(site, &spec).await?;
    let arguments = vec![
        format!("--kubeconfig={}", proxy_identity.display()),
        "--proxy-mode=iptables".into(),
        "--conntrack-max-per-core=0".into(),
        format!("--cluster-cidr={}", site.network.pods()),
        format!("--hostname-override={}", site.name),
        "--healthz-bind-address=127.0.0.1:10256".into(),
        "--metrics-bind-address=127.0.0.1:10249".into(),
    ];
    let mut spec = sandbox::inside(site, sandbox, "kube-proxy", kube_proxy, arguments);
    spec.environment = environment(&fs::read_to_string(&proxy_identity).unwrap_or_default());
    ensure(site, &spec).await?;
    Ok(fresh)
}

fn kubelet_spec(
    site: &Site,
    sandbox: i32,
    program: &Path,
    labels: &BTreeMap<String, String>,
    identity: &Path,
    serving: &Pair,
    authority: &Path,
) -> Result<Spec, NodeError> {
    let kubelet: Value = Kubelet {
        address: site.network.node_address(),
        certificate: &serving.certificate,
        key: &serving.key,
        authority,
        cgroup: &site.kernel_name(),
        dns: site.network.dns_service(),
    }
    .render();
    let file = site.config("kubelet.json");
    let text = kubelet.to_string();
    write_private(&file, text.as_bytes())?;
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let arguments = vec![
        format!("--config={}", file.display()),
        format!("--kubeconfig={}", identity.display()),
        format!("--node-ip={}", site.network.node_address()),
        format!("--hostname-override={}", site.name),
        format!("--node-labels={}", labels.join(",")),
    ];
    let mut spec = sandbox::inside(site, sandbox, "kubelet", program, arguments);
    let keys = [identity, &serving.certificate].map(|path| fs::read_to_string(path).unwrap_or_default());
    spec.environment = environment(&(text + &keys.concat()));
    Ok(spec)
}

/// Starts the network agent unless it runs as it should. Until it has the rules, no pod has traffic.
pub(super) async fn network_agent(
    site: &Site,
    sandbox: i32,
    agent: &NetworkAgent,
    api_port: u16,
) -> Result<(), NodeError> {
    let pods = site.network.pods();
    if site.attach(AGENT).is_none() {
        let mut first = tokio::process::Command::new("nsenter");
        first.args(sandbox::words(sandbox)).args(["nft", "-f", "-"]);
        // What an earlier agent said is nothing that this one knows.
        let _ = fs::remove_file(format!("/proc/{sandbox}/root{READY}"));
        policy::feed(first, &policy::closed(&pods)).await?;
    }
    let pki = Pki::open(&site.layout, SystemTime::now())?;
    let identity = identity(site, &pki, api_port, AGENT, policy::USER, &[])?;
    let mut arguments = agent.arguments.clone();
    arguments.extend([format!("--kubeconfig={}", identity.display()), format!("--node={}", site.name)]);
    arguments.push(format!("--pods={pods}"));
    let mut spec = sandbox::inside(site, sandbox, AGENT, &agent.program, arguments);
    let changed = fs::metadata(&agent.program).and_then(|program| program.modified());
    let program = format!("{:?}", changed.ok());
    spec.environment = environment(&(fs::read_to_string(&identity).unwrap_or_default() + &program));
    let mut process = ensure(site, &spec).await?;
    let ready = PathBuf::from(format!("/proc/{sandbox}/root{READY}"));
    Ok(process.ready(AGENT_LIMIT, || async { ready.exists() }).await?)
}

/// Makes keys and a kubeconfig of a component that runs on the node.
fn identity(
    site: &Site,
    pki: &Pki,
    api_port: u16,
    name: &str,
    user: &str,
    groups: &[&str],
) -> Result<PathBuf, NodeError> {
    let authority = pki.authority(Authority::Cluster).certificate;
    let server = format!("https://{}:{api_port}", site.network.host_address());
    let pair = pki.ensure(&Leaf::client(name, user, groups))?;
    let path = site.layout.kubeconfig(name);
    kubeconfig::write(&path, &server, &authority, user, Proof::Certificate(&pair))?;
    Ok(path)
}

/// The process of this spec: the one that runs as it says, or a new one.
async fn ensure(site: &Site, spec: &Spec) -> Result<Process, NodeError> {
    match site.attach(&spec.name) {
        Some(process) if process.runs_as(spec) => return Ok(process),
        Some(mut process) => process.stop(STOP_GRACE).await?,
        None => {}
    }
    Ok(Process::spawn(spec)?)
}

/// Variables of every process inside: where the administrator's programs are, and a fingerprint of
/// its files, so that a change of them is a change of the process.
fn environment(files: &str) -> BTreeMap<String, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    BTreeMap::from([
        ("PATH".into(), format!("{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")),
        ("MLP_CONFIG_DIGEST".into(), digest(files)),
    ])
}

fn make_executable(path: &Path) -> Result<(), NodeError> {
    use std::os::unix::fs::PermissionsExt;
    let changed = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    changed.map_err(|source| NodeError::io("write", path, source))
}
