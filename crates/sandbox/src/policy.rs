//! What one process and its descendants may do, and how it is put on.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;

use caps::CapSet;
use landlock::{RulesetCreated, RulesetError, RulesetStatus};
use rustix::fs::Mode;
use seccompiler::BpfProgram;

use crate::files::FileRules;
use crate::filter;
use crate::level::Level;
use crate::limits::{self, Limit, Limits};
use crate::mark::Mark;

const LEVEL: &str = "--level";
const READ: &str = "--read";
const WRITE: &str = "--write";
const DEVICE: &str = "--device";
const OPEN_FILES: &str = "--open-files";
const FILE_SIZE: &str = "--file-size";
const ADDRESS_SPACE: &str = "--address-space";
const MARK: &str = "--mark";
const UMASK: &str = "--umask";
const GUARD: &str = "--guard";
const KEEP_CAPABILITIES: &str = "--keep-capabilities";

/// What a process and its descendants may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub level: Level,
    /// For [`Level::Confined`].
    pub files: FileRules,
    pub limits: Limits,
    pub mark: Option<Mark>,
    /// `None` leaves the umask as it is.
    pub umask: Option<u32>,
    /// A process that must not be signalled, where Landlock does not see to that.
    pub guarded: Option<u32>,
    /// For trusted programs that have to read what other users own.
    pub keep_capabilities: bool,
}

/// A policy that could not be put on.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("{what}: {error}")]
    System { what: &'static str, error: io::Error },
    #[error("Landlock: {0}")]
    Files(#[from] RulesetError),
    #[error("Landlock: the kernel does not enforce it")]
    NotEnforced,
    #[error("seccomp: {0}")]
    Filter(#[from] seccompiler::BackendError),
    #[error("seccomp: {0}")]
    FilterRefused(#[from] seccompiler::Error),
    #[error("capabilities: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
}

impl Policy {
    /// The policy as arguments for another process, which gives them to [`Policy::accept`] one option at a time.
    ///
    /// ```
    /// use plugin_sandbox::{Level, Limits, Policy};
    ///
    /// let limits = Limits { open_files: Some(64), ..Limits::default() };
    /// let policy = Policy { level: Level::Limited, limits, ..Policy::default() };
    /// let args = policy.to_args();
    /// assert_eq!(args, ["--level", "L0", "--open-files", "64"]);
    /// let mut read = Policy::default();
    /// assert!(args.chunks(2).all(|pair| read.accept(&pair[0], pair[1].clone())));
    /// assert_eq!(read, policy);
    /// assert!(!read.accept("--level".as_ref(), "L7".into()));
    /// ```
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec![LEVEL.into(), self.level.as_str().into()];
        let mut add = |name: &str, value: OsString| args.extend([name.into(), value]);
        for (name, paths) in [(READ, &self.files.read), (WRITE, &self.files.write), (DEVICE, &self.files.devices)] {
            for path in paths {
                add(name, path.into());
            }
        }
        let numbers = [
            (OPEN_FILES, self.limits.open_files),
            (FILE_SIZE, self.limits.file_size),
            (ADDRESS_SPACE, self.limits.address_space),
            (UMASK, self.umask.map(u64::from)),
            (GUARD, self.guarded.map(u64::from)),
            (KEEP_CAPABILITIES, self.keep_capabilities.then_some(1)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                add(name, number.to_string().into());
            }
        }
        if let Some(mark) = self.mark {
            add(MARK, mark.to_string().into());
        }
        args
    }

    /// Takes one option of [`Policy::to_args`]. Whether it is one, with a value that makes sense.
    pub fn accept(&mut self, option: &OsStr, value: OsString) -> bool {
        let Some(option) = option.to_str() else { return false };
        let list = match option {
            READ => &mut self.files.read,
            WRITE => &mut self.files.write,
            DEVICE => &mut self.files.devices,
            _ => return self.accept_text(option, value.to_str().unwrap_or_default()).is_some(),
        };
        list.push(value.into());
        true
    }

    fn accept_text(&mut self, option: &str, value: &str) -> Option<()> {
        match option {
            LEVEL => {
                let levels = [Level::None, Level::Limited, Level::Confined];
                self.level = levels.into_iter().find(|level| level.as_str() == value)?;
            }
            OPEN_FILES => self.limits.open_files = Some(value.parse().ok()?),
            FILE_SIZE => self.limits.file_size = Some(value.parse().ok()?),
            ADDRESS_SPACE => self.limits.address_space = Some(value.parse().ok()?),
            UMASK => self.umask = Some(value.parse().ok()?),
            GUARD => self.guarded = Some(value.parse().ok()?),
            KEEP_CAPABILITIES => self.keep_capabilities = true,
            MARK => self.mark = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Puts the policy on this process, which must have one thread.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a part. The process must end then: it may be confined in part.
    pub fn apply(&self) -> Result<(), PolicyError> {
        let confined = self.confined()?;
        if let Some(umask) = self.umask {
            rustix::process::umask(Mode::from_bits_truncate(umask));
        }
        for limit in self.limit_list() {
            limits::apply(limit).map_err(|error| PolicyError::System { what: "resource limit", error })?;
        }
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| PolicyError::System { what: "no_new_privs", error: error.into() })?;
        if self.level >= Level::Limited && !self.keep_capabilities {
            drop_capabilities()?;
        }
        if let Some((ruleset, programs)) = confined {
            if ruleset.restrict_self()?.ruleset == RulesetStatus::NotEnforced {
                return Err(PolicyError::NotEnforced);
            }
            filter::apply(&programs)?;
        }
        Ok(())
    }

    /// Everything that a forked child needs to put the policy on by itself; see [`Prepared`].
    ///
    /// # Errors
    ///
    /// When the kernel refuses a ruleset.
    pub fn prepare(&self) -> Result<Prepared, PolicyError> {
        let confined = self.confined()?;
        let (ruleset, programs) = match confined {
            Some((ruleset, programs)) => (Option::<OwnedFd>::from(ruleset), programs),
            None => (None, Vec::new()),
        };
        Ok(Prepared {
            umask: self.umask,
            limits: self.limit_list(),
            drop_capabilities: self.level >= Level::Limited && !self.keep_capabilities,
            ruleset,
            filters: programs.iter().map(filter::bytes).collect(),
        })
    }

    fn confined(&self) -> Result<Option<(RulesetCreated, Vec<BpfProgram>)>, PolicyError> {
        if self.level < Level::Confined {
            return Ok(None);
        }
        Ok(Some((self.files.create()?, filter::programs(self.guarded)?)))
    }

    fn limit_list(&self) -> Vec<Limit> {
        let mut list = self.limits.list();
        list.extend(self.mark.map(Mark::limit));
        list
    }
}

/// A policy in a form that a forked child of a process without this crate, such as an interpreter, can put on.
///
/// The child does, with one thread, in this order; every failure ends it:
///
/// 1. `umask(umask)`, if there is one.
/// 2. For each of `limits`: `setrlimit(resource, {soft, hard})`, neither above the hard limit that it has.
/// 3. `prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)`.
/// 4. If `drop_capabilities`: `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)`; for each capability up to
///    `/proc/sys/kernel/cap_last_cap` `prctl(PR_CAPBSET_DROP, n, 0, 0, 0)`, where `EPERM` is no failure; then `capset` with
///    all three sets empty.
/// 5. If there is a ruleset: `landlock_restrict_self(fd, 0)` (system call 446), and close the descriptor.
/// 6. For each of `filters`: `prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &{len, bytes})`, where `len` counts steps of 8
///    bytes.
///
/// The parent sends the descriptor over a Unix socket (`SCM_RIGHTS`). The child must not run anything that is not trusted
/// before the last step, nor have more threads: steps 3 to 6 hold for the thread that makes them alone.
#[derive(Debug)]
pub struct Prepared {
    pub umask: Option<u32>,
    pub limits: Vec<Limit>,
    pub drop_capabilities: bool,
    /// A Landlock ruleset; `None` at a level without one.
    pub ruleset: Option<OwnedFd>,
    /// Each is an array of `struct sock_filter` in this machine's byte order.
    pub filters: Vec<Vec<u8>>,
}

/// Gives up every capability for good.
fn drop_capabilities() -> Result<(), PolicyError> {
    if caps::runtime::ambient_set_supported().is_ok() {
        caps::clear(None, CapSet::Ambient)?;
    }
    // without CAP_SETPCAP it cannot be emptied, which no_new_privs makes harmless
    if caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP)? {
        for capability in caps::runtime::thread_all_supported() {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Effective)?;
    caps::clear(None, CapSet::Permitted)?;
    caps::clear(None, CapSet::Inheritable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_the_command_line() {
        let policy = Policy {
            level: Level::Confined,
            files: FileRules {
                read: vec!["/usr".into(), "/a b".into()],
                write: vec!["/w".into()],
                devices: vec!["/dev/null".into()],
            },
            limits: Limits { open_files: Some(1), file_size: Some(2), address_space: None },
            mark: Some(Mark::new(3, 4, 5)),
            umask: Some(0o22),
            guarded: Some(6),
            keep_capabilities: true,
        };
        let mut read = Policy::default();
        let args = policy.to_args();
        for option in args.chunks(2) {
            assert!(read.accept(&option[0], option[1].clone()), "{option:?}");
        }
        assert_eq!(read, policy);
        for (option, value) in [("--unknown", "1"), ("--umask", "x"), ("--level", "L9"), ("--mark", "1")] {
            assert!(!read.accept(option.as_ref(), value.into()), "{option}");
        }
    }

    #[test]
    fn a_forked_child_gets_everything() {
        let policy = Policy { level: Level::Confined, mark: Some(Mark::new(1, 2, 3)), ..Policy::default() };
        let prepared = policy.prepare().unwrap();
        assert!(prepared.drop_capabilities && prepared.filters.len() >= 2);
        assert!(prepared.filters.iter().all(|filter| filter.len() % 8 == 0 && !filter.is_empty()));
        assert!(prepared.limits.contains(&Mark::new(1, 2, 3).limit()));
        let none = Policy::default().prepare().unwrap();
        assert!(none.ruleset.is_none() && none.filters.is_empty() && !none.drop_capabilities);
    }
}
