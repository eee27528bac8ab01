//! The ladder of tests as data (tests/README.md explains each rung).

/// One rung: a named group of commands and what only it can find.
#[derive(Debug)]
pub(super) struct Rung {
    /// What `mlp test NAME` takes.
    pub(super) name: &'static str,
    /// What this rung finds and no lower one does.
    pub(super) finds: &'static str,
    /// What has to be there before the commands run.
    pub(super) needs: Needs,
    /// The commands, run in the repository's root; the first failure ends the rung.
    pub(super) commands: &'static [&'static [&'static str]],
}

/// What a rung needs beside cargo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// Nothing: part of `--fast`.
    Nothing,
    /// A tool from crates.io, installed once into the cache.
    CargoDeny,
    /// The pinned Go tools; the tests start their own servers.
    Toolchain,
    /// A whole platform, brought up once for all the rungs that need it.
    Platform,
}

/// Every rung, lowest first.
pub(super) const RUNGS: &[Rung] = &[
    Rung {
        name: "format",
        finds: "code that rustfmt would write differently",
        needs: Needs::Nothing,
        commands: &[&["cargo", "fmt", "--all", "--", "--check"]],
    },
    Rung {
        name: "unit",
        finds: "wrong decisions of the pure domains, wrong conversions, wrong queues and windows",
        needs: Needs::Nothing,
        commands: &[&["cargo", "test", "--workspace", "--lib", "--bins"]],
    },
    Rung {
        name: "contracts",
        finds: "drift of protos, CRDs, help texts and overlays; a broken shape of the repository",
        needs: Needs::Nothing,
        commands: &[&[
            "cargo",
            "test",
            "-p",
            "mlp-proto",
            "-p",
            "mlp-crds",
            "-p",
            "mlp-arch",
            "-p",
            "mlp",
            "--tests",
        ]],
    },
    Rung {
        name: "lint",
        finds: "what clippy warns of, as errors",
        needs: Needs::Toolchain,
        commands: &[&["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]],
    },
    Rung {
        name: "deny",
        finds: "licences, sources and crates that must not be in the graph",
        needs: Needs::CargoDeny,
        commands: &[&["cargo", "deny", "--config", ".deny.toml", "check", "bans", "licenses", "sources"]],
    },
    Rung {
        name: "libs",
        finds: "ack, outbox, lease and config errors, on a real NATS server",
        needs: Needs::Toolchain,
        commands: &[&[
            "cargo",
            "test",
            "-p",
            "mlp-bus",
            "-p",
            "mlp-reconcile",
            "-p",
            "mlp-host",
            "--test",
            "*",
        ]],
    },
    Rung {
        name: "services",
        finds: "wrong or extra calls of one service against scripted and real peers",
        needs: Needs::Toolchain,
        commands: &[&[
            "cargo",
            "test",
            "-p",
            "mlp-team-isolation",
            "-p",
            "mlp-provisioner",
            "-p",
            "mlp-gitops-sync",
            "-p",
            "mlp-cost-attribution",
            "-p",
            "mlp-health-monitor",
            "--test",
            "*",
        ]],
    },
    Rung {
        name: "plane",
        finds: "a control plane or node that does not start, survive or clean up",
        needs: Needs::Toolchain,
        commands: &[&["cargo", "test", "-p", "mlp-tilt", "--test", "*"]],
    },
    Rung {
        name: "tiltfile",
        finds: "a Tiltfile that declares other resources than it should",
        needs: Needs::Nothing,
        commands: &[&["go", "test", "-C", "tests/tiltfile", "-v", "-count=1", "./..."]],
    },
    Rung {
        name: "flows",
        finds: "what only all five services together, on a real control plane, can get wrong",
        needs: Needs::Platform,
        commands: &[&["cargo", "test", "-p", "mlp-flows"]],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lower_rungs_need_less_than_the_whole_platform() {
        let mut names: Vec<_> = RUNGS.iter().map(|rung| rung.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RUNGS.len());
        let first_platform = RUNGS.iter().position(|rung| rung.needs == Needs::Platform);
        let last_other = RUNGS.iter().rposition(|rung| rung.needs != Needs::Platform);
        assert!(first_platform > last_other, "the platform is brought up once, at the end");
    }
}
