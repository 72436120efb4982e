//! What a debugging connection says until its plugin is registered: any bytes are cut into lines and taken in order without
//! panic, and what comes to its end has an identifier of its tenant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_protocol::{Line, LineSplitter};
use plugin_runtime::debug::registration::{Registering, Step, handshake};

fuzz_target!(|bytes: &[u8]| {
    let mut splitter = LineSplitter::new(1 << 16);
    splitter.buffer().extend_from_slice(bytes);
    let mut lines =
        std::iter::from_fn(|| splitter.next_line().or_else(|| splitter.finish())).filter_map(|line| match line {
            Line::Whole(line) => Some(line),
            Line::TooLong { .. } => None,
        });
    let Some(first) = lines.next() else { return };
    // what follows is worth a look whether this was a good handshake or not
    if let Ok(key) = handshake(&first) {
        assert!(!key.is_empty());
    }
    let mut registering = Registering::default();
    for line in lines {
        match registering.line(&line) {
            Ok(Step::More) => assert!(registering.bytes() <= 64 << 20),
            Ok(Step::Last) => {
                if let Ok(plugin) = registering.finish(Default::default()) {
                    assert_eq!(plugin.identity.identifier.checksum().len(), 64);
                    assert!(plugin.declaration.validate().is_ok());
                }
                return;
            }
            Err(refusal) => {
                assert!(!refusal.to_string().is_empty());
                return;
            }
        }
    }
});
