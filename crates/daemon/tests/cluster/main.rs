//! Several daemons on one PostgreSQL, one Redis and one storage: what an operator of two nodes relies on.
//!
//! The servers are the tests' own; where PostgreSQL or Redis is not installed, the tests are skipped. The storage is a
//! bucket where moto is installed, otherwise a folder.

mod bucket;
mod clocks;
#[cfg(feature = "export")]
#[expect(dead_code, reason = "the tests of one daemon need more of it")]
#[path = "../daemon/collector.rs"]
mod collector;
mod debugging;
mod faults;
mod load;
mod sharing;
mod site;
#[cfg(feature = "export")]
mod traces;
