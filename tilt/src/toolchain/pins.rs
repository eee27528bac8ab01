//! The pinned tools, as data. A test holds each version against the `go.mod` that builds it.

/// One tool of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tool {
    /// File name of the binary.
    pub name: &'static str,
    /// Version of the Go module, with the `v`.
    pub version: &'static str,
    /// Folder under `tilt/toolchain/` whose `go.mod` pins it.
    pub folder: &'static str,
    /// Module whose version is pinned.
    pub module: &'static str,
    /// Package that is built.
    pub package: &'static str,
    /// Extra linker flags, so that the binary knows its version.
    pub linker_flags: &'static str,
    /// Arguments that make the binary print its version.
    pub version_arguments: &'static [&'static str],
    /// What the binary prints when it is the pinned version.
    pub version_text: &'static str,
    /// What it is needed for, in a few words.
    pub purpose: &'static str,
    /// Minutes that a build from nothing took on two cores, downloads included.
    pub cold_build_minutes: u32,
}

const KUBERNETES_FLAGS: &str = "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
     -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

const fn kubernetes(name: &'static str, package: &'static str, purpose: &'static str, minutes: u32) -> Tool {
    Tool {
        name,
        version: "v1.36.3",
        folder: "kubernetes",
        module: "k8s.io/kubernetes",
        package,
        linker_flags: KUBERNETES_FLAGS,
        version_arguments: &["--version"],
        version_text: "v1.36.3",
        purpose,
        cold_build_minutes: minutes,
    }
}

/// The record of the control plane.
pub const ETCD: Tool = Tool {
    name: "etcd",
    version: "v3.6.4",
    folder: "etcd",
    module: "go.etcd.io/etcd/server/v3",
    package: "go.etcd.io/etcd/server/v3",
    linker_flags: "",
    version_arguments: &["--version"],
    version_text: "3.6.4",
    purpose: "store of the Kubernetes API",
    cold_build_minutes: 1,
};
/// The Kubernetes API server.
pub const KUBE_APISERVER: Tool =
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "the Kubernetes API", 5);
/// Kubernetes' own controllers.
pub const KUBE_CONTROLLER_MANAGER: Tool = kubernetes(
    "kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "Deployments, quotas, garbage collection",
    2,
);
/// The scheduler.
pub const KUBE_SCHEDULER: Tool =
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", "places pods on nodes", 1);
/// The node agent of the real node.
pub const KUBELET: Tool =
    kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet", "runs pods on the real node", 1);
/// Service addresses on the real node.
pub const KUBE_PROXY: Tool =
    kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", "Service addresses on the real node", 1);
/// The command that people know.
pub const KUBECTL: Tool = Tool {
    version_arguments: &["version", "--client"],
    ..kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl", "for people, and inside support bundles", 1)
};
/// Simulated nodes.
pub const KWOK: Tool = Tool {
    name: "kwok",
    version: "v0.8.0",
    folder: "kwok",
    module: "sigs.k8s.io/kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    linker_flags: "",
    version_arguments: &["--version"],
    version_text: "v0.8.0",
    purpose: "simulated nodes",
    cold_build_minutes: 2,
};
/// The broker.
pub const NATS_SERVER: Tool = Tool {
    name: "nats-server",
    version: "v2.15.2",
    folder: "nats-server",
    module: "github.com/nats-io/nats-server/v2",
    package: "github.com/nats-io/nats-server/v2",
    linker_flags: "",
    version_arguments: &["--version"],
    version_text: "v2.15.2",
    purpose: "the broker of all facts",
    cold_build_minutes: 1,
};
/// The broker's command line, for `mlp bench`.
pub const NATS: Tool = Tool {
    name: "nats",
    version: "v0.5.1",
    folder: "nats",
    module: "github.com/nats-io/natscli",
    package: "github.com/nats-io/natscli/nats",
    linker_flags: "-X main.version=v0.5.1",
    version_arguments: &["--version"],
    version_text: "0.5.1",
    purpose: "the yardstick of the bus benchmark",
    cold_build_minutes: 1,
};
/// Traces.
pub const JAEGER: Tool = Tool {
    name: "jaeger",
    version: "v1.62.0",
    folder: "jaeger",
    module: "github.com/jaegertracing/jaeger",
    package: "github.com/jaegertracing/jaeger/cmd/all-in-one",
    linker_flags: "-X github.com/jaegertracing/jaeger/pkg/version.latestVersion=v1.62.0",
    version_arguments: &["version"],
    version_text: "v1.62.0",
    purpose: "traces",
    cold_build_minutes: 2,
};
/// Metrics.
pub const PROMETHEUS: Tool = Tool {
    name: "prometheus",
    version: "v0.305.0",
    folder: "prometheus",
    module: "github.com/prometheus/prometheus",
    package: "github.com/prometheus/prometheus/cmd/prometheus",
    linker_flags: "-X github.com/prometheus/common/version.Version=3.5.0",
    version_arguments: &["--version"],
    version_text: "3.5.0",
    purpose: "metrics",
    cold_build_minutes: 4,
};
/// Cluster DNS on the real node.
pub const COREDNS: Tool = Tool {
    name: "coredns",
    version: "v1.15.0",
    folder: "coredns",
    module: "github.com/coredns/coredns",
    package: "github.com/coredns/coredns",
    linker_flags: "",
    version_arguments: &["-version"],
    version_text: "1.15.0",
    purpose: "names of Services on the real node",
    cold_build_minutes: 2,
};
/// Renders overlays of `deploy/` and Kustomize applications.
pub const KUSTOMIZE: Tool = Tool {
    name: "kustomize",
    version: "v5.8.1",
    folder: "kustomize",
    module: "sigs.k8s.io/kustomize/kustomize/v5",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    linker_flags: "",
    version_arguments: &["version"],
    version_text: "v5.8.1",
    purpose: "renders the overlays of deploy/",
    cold_build_minutes: 1,
};
/// Renders Helm charts.
pub const HELM: Tool = Tool {
    name: "helm",
    version: "v4.2.4",
    folder: "helm",
    module: "helm.sh/helm/v4",
    package: "helm.sh/helm/v4/cmd/helm",
    linker_flags: "-X helm.sh/helm/v4/internal/version.version=v4.2.4",
    version_arguments: &["version", "--short"],
    version_text: "v4.2.4",
    purpose: "renders charts",
    cold_build_minutes: 1,
};
/// Fills the Go templates of ApplicationSets: a program of our own, made of Go's templates and sprig.
pub const GOTEMPLATE: Tool = Tool {
    name: "gotemplate",
    version: "v0.1.1",
    folder: "gotemplate",
    module: "mlplatform.dev/gotemplate",
    package: "mlplatform.dev/gotemplate",
    linker_flags: "",
    version_arguments: &["version"],
    version_text: "v0.1.1",
    purpose: "fills Go templates of ApplicationSets",
    cold_build_minutes: 1,
};
/// Calls gRPC from a shell.
pub const GRPCURL: Tool = Tool {
    name: "grpcurl",
    version: "v1.9.3",
    folder: "grpcurl",
    module: "github.com/fullstorydev/grpcurl",
    package: "github.com/fullstorydev/grpcurl/cmd/grpcurl",
    linker_flags: "-X main.version=v1.9.3",
    version_arguments: &["-version"],
    version_text: "v1.9.3",
    purpose: "calls the services' gRPC from a shell",
    cold_build_minutes: 1,
};

/// Every pinned tool.
pub const TOOLS: &[Tool] = &[
    ETCD,
    KUBE_APISERVER,
    KUBE_CONTROLLER_MANAGER,
    KUBE_SCHEDULER,
    KUBELET,
    KUBE_PROXY,
    KUBECTL,
    KWOK,
    NATS_SERVER,
    NATS,
    JAEGER,
    PROMETHEUS,
    COREDNS,
    KUSTOMIZE,
    HELM,
    GOTEMPLATE,
    GRPCURL,
];

/// What gitops-sync makes manifests and Applications with.
pub const RENDERERS: [Tool; 3] = [KUSTOMIZE, HELM, GOTEMPLATE];
