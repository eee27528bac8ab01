//! `mlp network-agent`: makes NetworkPolicy true on the real node; `mlp up` starts it there.

use mlp_tilt::node::policy;

use crate::cli::NetworkAgent;
use crate::exit::{Failure, Outcome};

/// Runs until something fails; the node's rules stay as they are then.
pub(crate) async fn network_agent(flags: &NetworkAgent) -> Outcome {
    match policy::run(&flags.kubeconfig, &flags.node, &flags.pods).await {
        Ok(never) => match never {},
        Err(error) => Err(Failure::of("network agent", &error)),
    }
}
