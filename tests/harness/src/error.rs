//! Why a test cannot have what it needs.

/// Why a test cannot have what it needs.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A tool is missing and cannot be built.
    #[error("a tool for the test is missing")]
    Toolchain(#[from] mlp_tilt::toolchain::ToolchainError),
    /// The checkout cannot be found or used.
    #[error("the checkout cannot be used")]
    Layout(#[from] mlp_tilt::layout::LayoutError),
    /// A process did not start or stop as it should.
    #[error("a process for the test failed")]
    Process(#[from] mlp_tilt::process::ProcessError),
    /// Something did not happen in time.
    #[error("a condition was not met")]
    TimedOut(#[from] crate::wait::TimedOut),
    /// The control plane did not start.
    #[error("the control plane for the test failed")]
    Plane(#[from] mlp_tilt::PlaneError),
    /// The Kubernetes API refused something.
    #[error("the Kubernetes API refused what the test asked")]
    Kubernetes(#[source] Box<kube::Error>),
    /// kubectl failed.
    #[error("kubectl: {0}")]
    Kubectl(String),
    /// Too many control planes.
    #[error("too many test processes have a control plane of their own; wait until some have ended")]
    NoSlot,
    /// An example does not build or run.
    #[error("the {language} example: {why}")]
    Example {
        /// Its language.
        language: &'static str,
        /// What its compiler or the example itself said, or the remedy.
        why: String,
    },
    /// No free port.
    #[error("no free port for the test; too many servers run")]
    NoPort,
    /// A file or folder failed.
    #[error("cannot use {path}")]
    Io {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<kube::Error> for HarnessError {
    fn from(error: kube::Error) -> Self {
        Self::Kubernetes(Box::new(error))
    }
}
