//! A command that is terminated in the middle of its work. By SIGTERM, because programs that a shell starts in the
//! background ignore SIGINT.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::plugins::light;
use crate::support::Place;

#[test]
fn a_package_is_whole_or_the_one_before() {
    let place = Place::new();
    light(&place);
    // some time is spent on reading, and some on writing
    let noise: Vec<u8> = (0..6_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    std::fs::write(place.path("light/noise.bin"), noise).unwrap();
    place.stdout(&["plugin", "package", "light", "-o", "whole.difypkg"]);
    let whole = std::fs::read(place.path("whole.difypkg")).unwrap();
    std::fs::write(place.path("light.difypkg"), "an earlier package").unwrap();
    let (mut interrupted, mut wait) = (0, Duration::ZERO);
    for _ in 0..25 {
        let mut command = place.command(&["plugin", "package", "light"]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(wait);
        wait += Duration::from_millis(40);
        // it may have ended already
        let _ended = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM);
        let ended = child.wait().unwrap();
        interrupted += usize::from(ended.code().is_none());
        let left: Vec<String> = std::fs::read_dir(place.root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.'))
            .collect();
        assert_eq!(left, [""; 0], "nothing is left beside it");
        let package = std::fs::read(place.path("light.difypkg")).unwrap();
        assert!(package == b"an earlier package" || package == whole);
        if ended.success() {
            assert!(package == whole);
            break;
        }
        std::fs::write(place.path("light.difypkg"), "an earlier package").unwrap();
    }
    assert!(interrupted > 0);
}
