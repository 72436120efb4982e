//! The local runtime against real processes that misbehave: `stdio_worker` of the testkit stands in for Python.

#[cfg(test)]
mod death;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod own;
#[cfg(test)]
mod parent;
#[cfg(test)]
mod pressure;
#[cfg(test)]
#[path = "../shared/program.rs"]
mod program;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod support;
