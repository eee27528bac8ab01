//! One file or folder per verb; this one only dispatches.

mod app;
mod bench;
pub(crate) mod broker_keys;
mod calls;
mod completion;
mod doctor;
mod down;
mod env;
mod events;
mod health;
mod logs;
mod network_agent;
mod restart;
mod sarif;
mod status;
mod support_bundle;
mod team;
mod test;
mod trace;
pub(crate) mod up;

use crate::cli::{Cli, Command};
use crate::exit::Outcome;

/// Runs the verb that was asked for.
pub(crate) async fn run(cli: Cli) -> Outcome {
    let global = cli.global;
    match cli.command {
        Command::Up(flags) => up::up(&global, &flags).await,
        Command::Down(flags) => down::down(&global, &flags).await,
        Command::Status(flags) => status::status(&global, &flags).await,
        Command::Env => env::env(&global),
        Command::Logs(flags) => logs::logs(&global, &flags).await,
        Command::Events(verb) => events::events(&global, &verb).await,
        Command::App(flags) => app::app(&global, &flags).await,
        Command::Diff(flags) => app::app(&global, &flags.into()).await,
        Command::Team(flags) => team::team(&global, &flags).await,
        Command::Health(verb) => health::health(&verb),
        Command::Restart(flags) => restart::restart(&global, &flags).await,
        Command::Trace(flags) => trace::trace(&global, &flags).await,
        Command::Doctor => doctor::doctor(&global).await,
        Command::SupportBundle(flags) => support_bundle::support_bundle(&global, &flags).await,
        Command::Test(flags) => test::test(&global, &flags).await,
        Command::Bench(flags) => bench::bench(&global, &flags).await,
        Command::BrokerKeys => broker_keys::broker_keys(),
        Command::NetworkAgent(flags) => network_agent::network_agent(&flags).await,
        Command::Completion(flags) => completion::completion(&flags),
    }
}
