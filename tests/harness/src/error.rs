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
