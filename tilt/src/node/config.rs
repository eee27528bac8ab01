//! Configuration files of the node's processes, rendered from plain values.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::{Value, json};

/// Where containerd listens, inside the node's namespaces.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// What kubelet is told.
pub(super) struct Kubelet<'a> {
    pub(super) address: Ipv4Addr,
    pub(super) certificate: &'a Path,
    pub(super) key: &'a Path,
    pub(super) authority: &'a Path,
    pub(super) cgroup: &'a str,
    pub(super) dns: Ipv4Addr,
}

impl Kubelet<'_> {
    /// Images cannot be pulled again once removed, so that no image is collected; a laptop's disk
    /// is fuller than a server's, so that pods are only evicted when it is nearly full.
    pub(super) fn render(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address.to_string(),
            "readOnlyPort": 0,
            "tlsCertFile": self.certificate,
            "tlsPrivateKeyFile": self.key,
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.authority},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.cgroup),
            "failSwapOn": false,
            "clusterDNS": [self.dns.to_string()],
            "clusterDomain": "cluster.local",
            "resolvConf": "/etc/resolv.conf",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "2%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "2%",
            },
            "serializeImagePulls": false,
            "containerLogMaxSize": "10Mi",
            "containerLogMaxFiles": 3,
            "nodeStatusUpdateFrequency": "5s",
        })
    }
}

/// containerd's configuration; `runtime` is the program that makes containers.
pub(super) fn containerd(plugins: &Path, networks: &Path, runtime: &Path, pause: &str) -> String {
    let quote = |path: &Path| Value::from(path.display().to_string()).to_string();
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {pause}
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {plugins}
    conf_dir = {networks}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = {runtime}
"#,
        pause = Value::from(pause),
        plugins = quote(plugins),
        networks = quote(networks),
        runtime = quote(runtime),
    )
}

/// The program that makes containers: runc, after the folders of new volumes were opened.
///
/// kube-controller-manager makes the folder of a host-path volume with rights for root alone, and
/// kubelet applies no `fsGroup` to it; a database that does not run as root could not write.
pub(super) fn runtime(runc: &Path, volumes: &str) -> String {
    format!(
        "#!/bin/sh\ncase \" $* \" in\n*' create '*) find '{volumes}' -mindepth 1 -maxdepth 1 -type d -user root -perm 0750 -exec chmod 0777 {{}} + ;;\nesac\nexec '{}' \"$@\"\n",
        runc.display()
    )
}

/// The network of the node's pods: each has a link of its own to the node, which routes between them.
/// On a bridge, packets between pods would pass kube-proxy's rules only with the kernel's br_netfilter.
pub(super) fn pod_network(pods: &str) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/mlp-node/pod-addresses",
                    "ranges": [[{"subnet": pods}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// The name servers in a resolv.conf that the node can reach: those on loopback are the host's own.
pub(super) fn name_servers(resolv_conf: &str) -> Vec<Ipv4Addr> {
    let servers = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = servers.filter_map(|server| server.trim().parse::<Ipv4Addr>().ok());
    servers.filter(|server| !server.is_loopback()).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_gets_its_own_address_group_and_keys() {
        let kubelet = Kubelet {
            address: Ipv4Addr::new(10, 200, 0, 2),
            certificate: Path::new("/pki/kubelet.crt"),
            key: Path::new("/pki/kubelet.key"),
            authority: Path::new("/pki/ca.crt"),
            cgroup: "mlp-1a2b3c4d",
            dns: Ipv4Addr::new(10, 96, 0, 10),
        };
        let config = kubelet.render();
        assert_eq!(config["address"], "10.200.0.2");
        assert_eq!(config["cgroupRoot"], "/mlp-1a2b3c4d");
        assert_eq!(config["authentication"]["anonymous"]["enabled"], false);
        assert_eq!(config["clusterDNS"][0], "10.96.0.10");
        assert_eq!(config["tlsPrivateKeyFile"], "/pki/kubelet.key");
    }

    #[test]
    fn paths_are_quoted_for_containerd() {
        let text =
            containerd(Path::new("/cni"), Path::new("/a \"b\"/net.d"), Path::new("/runc"), "mlp/pause:1");
        assert!(text.contains(r#"conf_dir = "/a \"b\"/net.d""#));
        assert!(text.contains(r#"sandbox_image = "mlp/pause:1""#));
    }

    #[test]
    fn name_servers_on_loopback_are_left_out() {
        let text =
            "# made by\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch example\nnameserver ::1\n";
        assert_eq!(name_servers(text), [Ipv4Addr::new(192, 0, 2, 53)]);
        assert!(name_servers("").is_empty());
    }
}
