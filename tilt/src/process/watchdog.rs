//! Ends our children when we die without ending them.
//!
//! A small shell holds the reading end of a pipe. When this process ends, however it ends, the
//! pipe closes and the shell ends every process that was put under guard and is still the same
//! process (id and start time). No unsafe hook between fork and exec is needed.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::record::Identity;

/// Reads `<pid> <start>` lines until the pipe closes, then TERM, up to five seconds, KILL.
const SCRIPT: &str = r#"
trap '' INT HUP TERM
guarded=
while read -r pid start; do guarded="$guarded $pid:$start"; done
same() {
    read -r stat 2>/dev/null < "/proc/$1/stat" || return 1
    wanted=$2
    set -- ${stat##*) }
    [ "$1" != Z ] && [ "${20}" = "$wanted" ]
}
each() {
    left=
    for entry in $guarded; do
        if same "${entry%:*}" "${entry#*:}"; then
            left=yes
            [ -z "$1" ] || kill -s "$1" -- "-${entry%:*}" 2>/dev/null
        fi
    done
}
each TERM
each CONT
tries=0
while each '' && [ -n "$left" ] && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
each KILL
"#;

/// A guard over children. Dropping it ends those that still run.
#[derive(Debug)]
pub struct Watchdog {
    shell: Mutex<Child>,
}

impl Watchdog {
    /// Starts the shell, in a group of its own so that Ctrl-C does not reach it.
    ///
    /// # Errors
    /// There is no `sh`.
    pub fn start() -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "mlp-watchdog"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { shell: Mutex::new(shell) })
    }

    /// Puts a process under guard.
    ///
    /// # Errors
    /// The shell is gone.
    pub fn guard(&self, process: Identity) -> io::Result<()> {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = shell.stdin.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        writeln!(pipe, "{} {}", process.pid, process.started)?;
        pipe.flush()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (Child, Identity) {
        let child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let identity = Identity::of(i32::try_from(child.id()).unwrap()).unwrap();
        (child, identity)
    }

    #[test]
    fn a_closed_pipe_ends_guarded_processes_and_no_others() {
        let (mut guarded, identity) = sleeper();
        let (mut stale, other) = sleeper();
        let watchdog = Watchdog::start().unwrap();
        watchdog.guard(identity).unwrap();
        watchdog.guard(Identity { started: other.started + 1, ..other }).unwrap();
        drop(watchdog);
        guarded.wait().unwrap();
        assert!(!identity.is_alive());
        assert!(other.is_alive(), "a stale record must kill nobody");
        stale.kill().unwrap();
        stale.wait().unwrap();
    }
}
