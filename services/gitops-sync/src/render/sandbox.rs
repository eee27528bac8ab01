//! A tool, confined. Its input is a stranger's: a chart is a program.
//!
//! This service's own program is started anew ([`intercept`]), limits itself and becomes the tool: no network at
//! all (seccomp), no file but its tree and what the system needs to run a program (landlock), bounded memory, time and
//! files (rlimits). What comes out is bounded by the one who reads it ([`run`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, path_beneath_rules,
};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::{Error, Options, Run};

/// The word by which the program knows that it is to become a tool.
const WORD: &str = "sandbox";
/// How a process says that it could not confine itself; no tool ends so.
const UNCONFINED: u8 = 125;
/// What of a tool's complaint is shown.
const SAID: usize = 2_000;
/// Texts of the spec that are at least so long are not repeated in a message.
const SECRET: usize = 5;
/// What is read of a tool's complaint.
const SAID_READ: u64 = 64 * 1024;
/// What programs of the system need; only to be read and run.
const SYSTEM: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/etc/ld.so.cache"];
/// What some libraries of the tools look at.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/urandom", "/proc/self"];

/// Bounds of a tool's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its own memory.
    pub memory: u64,
    /// Seconds of processor time.
    pub cpu: u64,
    /// Bytes of each file that it writes.
    pub file: u64,
    /// Open files.
    pub files: u64,
    /// Bytes of what it makes.
    pub output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { memory: 512 * MIB, cpu: 30, file: 16 * MIB, files: 256, output: 16 * MIB }
    }
}

/// Runs a tool in a tree and gives what it made.
pub(super) async fn run(options: &Options, run: Run<'_>, tree: &Path) -> Result<String, Error> {
    let Run { name, program, arguments, secrets } = run;
    let broken = |why: String| Error::Broken { tool: name, why };
    let limits = options.limits;
    let mut command = Command::new(&options.confiner);
    command.arg(WORD).arg(tree).arg(program);
    command.args([limits.memory, limits.cpu, limits.file, limits.files].map(|limit| limit.to_string()));
    command.args(arguments).current_dir(tree).env_clear().kill_on_drop(true);
    // Helm keeps caches of its own, which it does not need to make manifests.
    let own = tree.join(".git");
    for variable in ["HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "TMPDIR"] {
        command.env(variable, &own);
    }
    command.env("GOMAXPROCS", "1").env("GOMEMLIMIT", (limits.memory / 2).to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    std::fs::create_dir_all(&own).map_err(|error| broken(format!("{}: {error}", own.display())))?;
    let mut child =
        command.spawn().map_err(|error| broken(format!("{}: {error}", options.confiner.display())))?;
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (out, said) = tokio::join!(read(out, limits.output), beginning(said));
        // One byte more than it may: it is not waited for, because it waits to be read.
        if matches!(&out, Ok(bytes) if bytes.len() as u64 > limits.output) {
            return (out, said, None);
        }
        (out, said, Some(child.wait().await))
    };
    let Ok((out, said, ended)) = tokio::time::timeout(options.deadline, work).await else {
        return Err(Error::TooMuch {
            tool: name,
            why: format!("it ran longer than {} s", options.deadline.as_secs()),
        });
    };
    let out = out.map_err(|error| broken(error.to_string()))?;
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    let said = secrets
        .iter()
        .filter(|secret| secret.len() >= SECRET)
        .fold(said, |said, secret| said.replace(secret, "***"));
    let said = shortened(&said, tree);
    let Some(ended) = ended else {
        return Err(Error::TooMuch { tool: name, why: format!("it made more than {} bytes", limits.output) });
    };
    let ended = ended.map_err(|error| broken(error.to_string()))?;
    match ended.code() {
        Some(0) => String::from_utf8(out)
            .map_err(|_| Error::Refused { tool: name, said: "what it made is not UTF-8 text".to_owned() }),
        Some(code) if code == i32::from(UNCONFINED) => Err(broken(said)),
        Some(_) => Err(Error::Refused { tool: name, said }),
        None => Err(Error::TooMuch { tool: name, why: format!("it was killed ({ended}); {said}") }),
    }
}

/// At most one byte more than `most`.
async fn read(source: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        source.take(most.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The beginning of a tool's complaint; the rest is read and dropped, so that a tool that says much is not ended for it.
async fn beginning(source: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let Some(mut source) = source else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    (&mut source).take(SAID_READ).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut source, &mut tokio::io::sink()).await?;
    Ok(bytes)
}

/// The end of what was said, without the names of our own folders.
fn shortened(said: &str, tree: &Path) -> String {
    let said =
        said.replace(&format!("{}/", tree.display()), "").replace(&tree.display().to_string(), "the source");
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = lines.join("; ");
    let from = said.len().saturating_sub(SAID);
    let from = (from..said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or_default();
    said.get(from..).unwrap_or_default().to_owned()
}

/// Becomes a tool, where this process was started for it: `PROGRAM sandbox TREE TOOL MEMORY CPU FILE FILES ARGUMENT...`.
/// Call it first: nothing else may run in such a process.
pub fn intercept() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let why = become_tool(arguments);
    eprintln!("{why}");
    Some(ExitCode::from(UNCONFINED))
}

/// Never returns where it succeeds; else why it does not.
fn become_tool(mut arguments: impl Iterator<Item = OsString>) -> String {
    let (Some(tree), Some(program)) = (arguments.next(), arguments.next()) else {
        return "sandbox: TREE and TOOL are missing".to_owned();
    };
    let mut limit = || arguments.next()?.to_str()?.parse::<u64>().ok();
    let (Some(memory), Some(cpu), Some(file), Some(files)) = (limit(), limit(), limit(), limit()) else {
        return "sandbox: a limit is missing or no number".to_owned();
    };
    let program = PathBuf::from(program);
    let limits = [
        (Resource::RLIMIT_DATA, memory),
        (Resource::RLIMIT_CPU, cpu),
        (Resource::RLIMIT_FSIZE, file),
        (Resource::RLIMIT_NOFILE, files),
        (Resource::RLIMIT_CORE, 0),
    ];
    for (resource, most) in limits {
        if let Err(error) = setrlimit(resource, most, most) {
            return format!("{resource:?}: {error}");
        }
    }
    if let Err(why) = confine_files(Path::new(&tree), &program) {
        return format!("landlock: {why}; the kernel must have it (Linux 5.13, in lsm=)");
    }
    if let Err(error) = no_network() {
        return format!("seccomp: {error}");
    }
    let mut command = std::process::Command::new(&program);
    command.args(arguments);
    format!(
        "{}: {}; set --kustomize, --helm and --gotemplate to the programs",
        program.display(),
        command.exec()
    )
}

/// Nothing is readable but the tree, the program and the system's libraries; only the tree is writable.
fn confine_files(tree: &Path, program: &Path) -> Result<(), String> {
    let newest = ABI::V5;
    let confined = || -> Result<_, landlock::RulesetError> {
        let read = AccessFs::from_read(newest);
        let look = AccessFs::ReadFile | AccessFs::ReadDir;
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(newest))?
            .create()?
            .add_rules(path_beneath_rules([tree], look | (AccessFs::from_all(newest) & !AccessFs::Execute)))?
            .add_rules(path_beneath_rules([program], read))?
            .add_rules(path_beneath_rules(SYSTEM, read))?
            .add_rules(path_beneath_rules(DEVICES, look))?
            .restrict_self()
    };
    match confined() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => Err("not enforced".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The same calls under the numbers of the x32 interface, which some kernels have.
const X32: i64 = 0x4000_0000;
/// Calls that reach out of the process: sockets, signals to others, programs that are no files, the kernel itself.
const CLOSED: [i64; 19] = [
    libc::SYS_kill,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_bpf,
    libc::SYS_mount,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_perf_event_open,
];

fn no_network() -> Result<(), String> {
    let closed: BTreeMap<i64, _> =
        CLOSED.iter().flat_map(|call| [(*call, Vec::new()), (*call | X32, Vec::new())]).collect();
    let architecture = std::env::consts::ARCH.try_into();
    let architecture = architecture.map_err(|error| format!("{error}"))?;
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(closed, SeccompAction::Allow, refused, architecture);
    let filter = filter.map_err(|error| error.to_string())?;
    let program: BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_said_is_short_and_names_no_folder_of_ours() {
        let tree = Path::new("/tmp/tree-1");
        assert_eq!(
            shortened("Error: /tmp/tree-1/a.yaml: bad\n\n  at line 2\n", tree),
            "Error: a.yaml: bad; at line 2"
        );
        let long = format!("{}ü end", "ü".repeat(SAID));
        let short = shortened(&long, tree);
        assert!(short.len() <= SAID && short.ends_with("ü end"));
    }
}
