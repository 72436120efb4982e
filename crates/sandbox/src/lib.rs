//! Confinement of a process by the kernel: which files it may open, which system calls it may make, what it may use.
//!
//! A [`Policy`] says what is allowed. A process puts it on itself, with one thread and before it runs anything that is not
//! trusted: [`Policy::apply`], or [`Policy::prepare`] in the parent and the steps of [`Prepared`] in a forked child. What is
//! put on is inherited by every descendant and cannot be taken off again.
//!
//! This crate knows nothing of plugins. The levels and what each of them closes are in `docs/security.md`.

#![forbid(unsafe_code)]

mod files;
mod filter;
mod host;
mod level;
mod limits;
mod mark;
mod policy;
mod system;
mod threads;

pub use self::files::{FileRules, except};
pub use self::host::{HostError, protect, umask_of_children};
pub use self::level::{Level, Mode, NotAMode, Refused, Support};
pub use self::limits::{Limit, Limits};
pub use self::mark::{Mark, NotAMark};
pub use self::policy::{Policy, PolicyError, Prepared};
pub use self::system::{devices, readable};
pub use self::threads::{ThreadError, check_threads};
