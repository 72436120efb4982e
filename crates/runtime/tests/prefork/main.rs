//! Workers that are forked from a warm interpreter, on a stand-in for the SDK and on the real one.

#[cfg(test)]
mod death;
#[cfg(test)]
#[path = "../shared/program.rs"]
mod program;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod same;
#[cfg(test)]
mod sdk;
#[cfg(test)]
mod shared_sdk;
#[cfg(test)]
mod support;
