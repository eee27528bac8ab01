//! The ladder of tests as data (tests/README.md explains each rung).

/// One rung: a named group of commands and what only it can find.
#[derive(Debug)]
pub(super) struct Rung {
    /// What `mlp test NAME` takes.
    pub(super) name: &'static str,
    /// What this rung finds and no lower one does.
    pub(super) finds: &'static str,
    /// What has to be there before the commands run; nothing for a rung of `--fast`.
    pub(super) needs: &'static [Need],
    /// The commands, run in the repository's root; the first failure ends the rung.
    pub(super) commands: &'static [&'static [&'static str]],
}

/// What a rung needs beside cargo. Each is prepared by itself, once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// A tool from crates.io, installed once into the cache.
    CargoDeny,
    /// The pinned Go tools; the tests start their own servers.
    Toolchain,
    /// A control plane with simulated nodes, started once for all the rungs that need one.
    ControlPlane,
    /// A whole platform, brought up once for all the rungs that need it.
    Platform,
}

/// Every rung, lowest first.
///
/// All cargo commands take the whole workspace and choose targets by name: with packages named one
/// by one, cargo would choose other features for what they share and build it once more.
pub(super) const RUNGS: &[Rung] = &[
    Rung {
        name: "format",
        finds: "code that rustfmt would write differently",
        needs: &[],
        commands: &[&["cargo", "fmt", "--all", "--", "--check"]],
    },
    Rung {
        name: "unit",
        finds: "wrong decisions of the pure domains, wrong conversions, wrong queues and windows",
        needs: &[],
        commands: &[&["cargo", "test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--examples"]],
    },
    Rung {
        name: "contracts",
        finds: "drift of protos, CRDs, help texts and objects; a broken shape of the repository",
        needs: &[],
        commands: &[&[
            "cargo",
            "test",
            "--workspace",
            "--no-fail-fast",
            "--test",
            "catalogue",
            "--test",
            "breaking",
            "--test",
            "generate",
            "--test",
            "lint",
            "--test",
            "golden_events",
            "--test",
            "golden",
            "--test",
            "arrows",
            "--test",
            "shape",
            "--test",
            "help",
            "--test",
            "objects",
        ]],
    },
    Rung {
        name: "tiltfile",
        finds: "a Tiltfile that declares other resources than it should",
        needs: &[],
        commands: &[&["go", "test", "-C", "tests/tiltfile", "-v", "-count=1", "./..."]],
    },
    Rung {
        name: "lint",
        finds: "what clippy warns of, as errors",
        needs: &[],
        commands: &[&["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]],
    },
    Rung {
        name: "deny",
        finds: "licences, sources and crates that must not be in the graph",
        needs: &[Need::CargoDeny],
        commands: &[&["cargo", "deny", "--config", ".deny.toml", "check", "bans", "licenses", "sources"]],
    },
    Rung {
        name: "libs",
        finds: "ack, outbox, lease and config errors, on a real NATS server",
        needs: &[Need::Toolchain],
        commands: &[&["cargo", "test", "--workspace", "--no-fail-fast", "--test", "bus", "--test", "host"]],
    },
    Rung {
        name: "plane",
        finds: "a control plane or node that does not start, survive or clean up",
        needs: &[Need::Toolchain],
        commands: &[&[
            "cargo",
            "test",
            "--workspace",
            "--no-fail-fast",
            "--test",
            "toolchain",
            "--test",
            "nats",
            "--test",
            "operator",
            "--test",
            "plane",
            "--test",
            "node",
        ]],
    },
    Rung {
        name: "definitions",
        finds: "overlays that do not build or say other than they should, objects that the API server refuses",
        needs: &[Need::Toolchain, Need::ControlPlane],
        commands: &[&[
            "cargo",
            "test",
            "--workspace",
            "--no-fail-fast",
            "--test",
            "deploy",
            "--test",
            "api_server",
        ]],
    },
    Rung {
        name: "services",
        finds: "wrong or extra calls of one service against scripted and real peers",
        needs: &[Need::Toolchain, Need::ControlPlane],
        commands: &[&[
            "cargo",
            "test",
            "--workspace",
            "--no-fail-fast",
            "--test",
            "reconcile",
            "--test",
            "aws",
            "--test",
            "sync",
            "--test",
            "metering",
        ]],
    },
    Rung {
        name: "attacks",
        finds: "what a member of a team could do to others, row by row of the attack list, on a real API server",
        needs: &[Need::Toolchain, Need::ControlPlane],
        commands: &[&["cargo", "test", "--workspace", "--no-fail-fast", "--test", "attacks"]],
    },
    Rung {
        name: "flows",
        finds: "what only all five services together, on a real control plane, can get wrong",
        needs: &[Need::Toolchain, Need::Platform],
        commands: &[&["cargo", "test", "--workspace", "--no-fail-fast", "--test", "flows"]],
    },
    Rung {
        name: "faults",
        finds: "facts lost or doubled by a service that is killed between an effect and its acknowledgement",
        needs: &[Need::Toolchain, Need::Platform],
        commands: &[&[
            "cargo",
            "test",
            "--workspace",
            "--no-fail-fast",
            "--test",
            "faults",
            "--",
            "--nocapture",
        ]],
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
        let platform = |rung: &Rung| rung.needs.contains(&Need::Platform);
        let first_platform = RUNGS.iter().position(platform);
        let last_other = RUNGS.iter().rposition(|rung| !platform(rung));
        assert!(first_platform > last_other, "the platform is brought up once, at the end");
    }

    /// Files under `tests/` folders of every member, as cargo names their targets.
    fn targets() -> Vec<String> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let metadata = std::process::Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
            .current_dir(root)
            .output()
            .unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap().iter();
        let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
        let tests = targets.filter(|target| target["kind"][0] == "test");
        tests.map(|target| target["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_test_of_the_workspace_is_in_a_rung() {
        let run: Vec<_> = RUNGS.iter().flat_map(|rung| rung.commands).flat_map(|command| *command).collect();
        let missing: Vec<_> = targets().into_iter().filter(|name| !run.contains(&&name.as_str())).collect();
        assert!(missing.is_empty(), "no rung runs the tests {missing:?}");
    }
}
