//! `mlp status`: teams, requests, applications, cost and endpoints of the running platform.

mod gather;
pub(crate) mod print;
pub(crate) mod report;

use crate::cli::{Global, Output, Status};
use crate::exit::{Failure, Outcome};
use crate::platform::Platform;

pub(crate) use gather::gather;

/// Prints the report.
pub(crate) async fn status(global: &Global, flags: &Status) -> Outcome {
    let platform = Platform::load(&global.state()?)?;
    let report = gather(&platform).await?;
    match flags.output {
        Output::Text => println!("{}", print::render(&report)),
        Output::Json => {
            let text = serde_json::to_string_pretty(&report)
                .map_err(|error| Failure::while_doing("writing JSON", &error))?;
            println!("{text}");
        }
    }
    Ok(())
}
