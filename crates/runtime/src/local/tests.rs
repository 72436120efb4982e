//! The runtime against real processes, where a test needs more than the public interface.

mod panics;

#[path = "../../tests/local/support.rs"]
#[expect(dead_code, reason = "the integration tests use all of it")]
mod support;
