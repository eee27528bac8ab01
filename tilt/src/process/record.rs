//! Who a process is: its id together with its start time, so that a stale record kills nobody.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Identity of a process over time. Equal ids with another start time are another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process id; also its process group, since every child of ours leads one.
    pub pid: i32,
    /// Start time in clock ticks since boot, from `/proc/<pid>/stat`; 0 where there is no `/proc`.
    pub started: u64,
}

impl Identity {
    /// The identity of the process that has this id now; `None` when there is none, or only its
    /// remains wait to be collected.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => {
                let (state, started) = parse_stat(&stat)?;
                let gone = matches!(state, 'Z' | 'X') && !has_other_threads(pid);
                (!gone).then_some(Self { pid, started })
            }
            Err(_) if Path::new("/proc/self/stat").exists() => None,
            Err(_) => kill(Pid::from_raw(pid), None).is_ok().then_some(Self { pid, started: 0 }),
        }
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends a signal to the process and its group, if it is still the same process. Says whether
    /// it was.
    pub fn signal(&self, signal: Signal) -> bool {
        if !self.is_alive() {
            return false;
        }
        match killpg(Pid::from_raw(self.pid), signal) {
            Err(Errno::ESRCH) => kill(Pid::from_raw(self.pid), signal).is_ok(),
            other => other.is_ok(),
        }
    }
}

/// Whether threads live on after their leader has ended: until the last one is gone the process still
/// holds its files and ports.
fn has_other_threads(pid: i32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

/// State letter and start time from `/proc/<pid>/stat`, whose second field may hold anything.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_and_blanks_do_not_confuse() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";
        assert_eq!(parse_stat(stat), Some(('S', 987_654)));
    }

    #[test]
    fn a_stale_record_is_not_alive_and_gets_no_signal() {
        let me = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.is_alive());
        let stale = Identity { started: me.started + 1, ..me };
        assert!(!stale.is_alive());
        assert!(!stale.signal(Signal::SIGKILL));
    }

    #[test]
    fn a_collected_child_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!(Identity::of(pid), None);
    }
}
