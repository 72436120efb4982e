//! How far processes are confined, and what keeps the kernel from more.

use std::fmt;
use std::str::FromStr;

use landlock::{
    ABI, Access as _, AccessFs, LandlockStatus, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus, Scope,
};

use crate::filter;

/// Landlock's first version forbids every rename between folders, which package installers and plugins do.
const OLDEST: ABI = ABI::V2;

/// How far processes are confined. Each level holds everything of those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As the daemon itself.
    #[default]
    None,
    /// `L0`: no capabilities, no new privileges, limits, a mark that a process cannot take off.
    Limited,
    /// `L1`: `L0`, Landlock and seccomp.
    Confined,
}

impl Level {
    /// The highest one that there is.
    pub const HIGHEST: Self = Self::Confined;

    /// As it is written in the configuration and shown to operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Limited => "L0",
            Self::Confined => "L1",
        }
    }

    /// With what is missing, on one line: `L1`, `L0 (Landlock: not enabled at boot (lsm=))`.
    pub fn with_gaps(self, gaps: &[String]) -> String {
        if gaps.is_empty() { self.to_string() } else { format!("{self} ({})", gaps.join("; ")) }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which level is wanted: `auto`, `off`, `required`, `required:L0`.
///
/// ```
/// use plugin_sandbox::{Level, Mode};
///
/// assert_eq!("required".parse(), Ok(Mode::Required(Level::HIGHEST)));
/// assert_eq!("Required:L0".parse(), Ok(Mode::Required(Level::Limited)));
/// assert!("maybe".parse::<Mode>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As much as the kernel allows.
    #[default]
    Auto,
    Off,
    /// That level, or no start.
    Required(Level),
}

/// The text is not one of a [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of auto, off, required, required:L0, required:L1")]
pub struct NotAMode(String);

impl FromStr for Mode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "required" => Ok(Self::Required(Level::HIGHEST)),
            "required:l0" => Ok(Self::Required(Level::Limited)),
            "required:l1" => Ok(Self::Required(Level::Confined)),
            _ => Err(NotAMode(text.to_owned())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::Required(level) => write!(f, "required:{level}"),
        }
    }
}

/// The level that is required cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("isolation level {required} is required, this system allows {reached}: {}", gaps.join("; "))]
pub struct Refused {
    pub required: Level,
    pub reached: Level,
    pub gaps: Vec<String>,
}

/// What this system allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// The highest level that works.
    pub level: Level,
    /// The version of Landlock; 0 where there is none.
    pub landlock: u32,
    /// What is missing for full protection at this level, or for a higher level. For operators.
    pub gaps: Vec<String>,
}

impl Support {
    /// Tries everything in a thread that ends thereafter, which is what a restriction is bound to.
    pub fn probe() -> Self {
        let tried = std::thread::Builder::new().name("isolation-probe".into()).spawn(|| (landlock(), filter::probe()));
        let joined = tried.map(std::thread::JoinHandle::join);
        let Ok(Ok((landlock, seccomp))) = joined else {
            return Self { level: Level::Limited, landlock: 0, gaps: vec!["no thread could be started".to_owned()] };
        };
        Self::of(landlock, seccomp.err())
    }

    fn of(landlock: Result<ABI, String>, seccomp: Option<String>) -> Self {
        let mut gaps = Vec::new();
        let abi = landlock.unwrap_or_else(|error| {
            gaps.push(format!("Landlock: {error}"));
            ABI::Unsupported
        });
        let number = u32::try_from(abi as i32).unwrap_or_default();
        if abi != ABI::Unsupported && abi < OLDEST {
            gaps.push(
                "Landlock 1 (Linux 5.13 to 5.18) forbids renames between folders; Linux 5.19 is needed".to_owned(),
            );
        }
        let has_seccomp = seccomp.is_none();
        gaps.extend(seccomp.map(|error| format!("seccomp: {error}")));
        if abi < OLDEST || !has_seccomp {
            return Self { level: Level::Limited, landlock: number, gaps };
        }
        for (since, gap) in [
            (ABI::V3, "files of the daemon's user can be truncated (Linux 6.2 closes it)"),
            (ABI::V6, "plugins can signal each other and connect to abstract sockets (Linux 6.12 closes it)"),
        ] {
            if abi < since {
                gaps.push(gap.to_owned());
            }
        }
        Self { level: Level::Confined, landlock: number, gaps }
    }

    /// The level to use. A mode that asks for less than the system allows gets less.
    ///
    /// # Errors
    ///
    /// When more is required than the system allows.
    pub fn choose(&self, mode: Mode) -> Result<Level, Refused> {
        match mode {
            Mode::Off => Ok(Level::None),
            Mode::Auto => Ok(self.level),
            Mode::Required(required) if self.level >= required => Ok(self.level),
            Mode::Required(required) => Err(Refused { required, reached: self.level, gaps: self.gaps.clone() }),
        }
    }
}

/// The version of Landlock, found by restricting this thread.
fn landlock() -> Result<ABI, String> {
    let status = (|| -> Result<_, RulesetError> {
        Ruleset::default()
            .handle_access(AccessFs::from_all(ABI::V7))?
            .scope(Scope::from_all(ABI::V7))?
            .create()?
            .restrict_self()
    })()
    .map_err(|error| error.to_string())?;
    match status.landlock {
        LandlockStatus::NotEnabled => Err("not enabled at boot (lsm=)".to_owned()),
        LandlockStatus::NotImplemented => {
            Err("not built into this kernel, or hidden by a container's filter".to_owned())
        }
        LandlockStatus::Available { .. } if status.ruleset == RulesetStatus::NotEnforced => {
            Err("the kernel refuses it".to_owned())
        }
        LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_what_they_are_written_as() {
        for (text, mode) in [
            ("auto", Mode::Auto),
            ("off", Mode::Off),
            ("required:L0", Mode::Required(Level::Limited)),
            ("required:L1", Mode::Required(Level::Confined)),
        ] {
            assert_eq!(text.parse(), Ok(mode));
            assert_eq!(mode.to_string(), text);
        }
        assert_eq!("Required".parse(), Ok(Mode::Required(Level::HIGHEST)));
        assert!("L1".parse::<Mode>().unwrap_err().to_string().contains("required:L0"));
    }

    #[test]
    fn every_version_of_landlock_has_a_level_and_says_what_is_missing() {
        let of = |abi| Support::of(Ok(abi), None);
        assert_eq!(of(ABI::V1).level, Level::Limited);
        assert_eq!((of(ABI::V2).level, of(ABI::V2).gaps.len()), (Level::Confined, 2));
        assert_eq!((of(ABI::V4).level, of(ABI::V4).gaps.len()), (Level::Confined, 1));
        assert_eq!((of(ABI::V6).level, of(ABI::V6).gaps.len()), (Level::Confined, 0));
        let none = Support::of(Err("absent".into()), None);
        assert_eq!((none.level, none.landlock), (Level::Limited, 0));
        assert_eq!(Support::of(Ok(ABI::V7), Some("absent".into())).level, Level::Limited);
        assert_eq!(none.choose(Mode::Auto), Ok(Level::Limited));
        assert_eq!(none.choose(Mode::Off), Ok(Level::None));
        assert_eq!(none.choose(Mode::Required(Level::Limited)), Ok(Level::Limited));
        assert_eq!(
            none.choose(Mode::Required(Level::Confined)).unwrap_err().to_string(),
            "isolation level L1 is required, this system allows L0: Landlock: absent"
        );
    }

    #[test]
    fn probing_leaves_this_process_as_it_is() {
        let support = Support::probe();
        assert!(support.level >= Level::Limited);
        assert!(std::fs::read_dir("/").is_ok());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(status.contains("Seccomp:\t0") || support.level == Level::Limited, "{status}");
    }
}
