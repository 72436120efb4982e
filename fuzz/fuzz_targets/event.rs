//! Lines of plugins: any bytes are cut into lines and read as events without panic; calls back are parsed from them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_protocol::callback::Invoke;
use plugin_protocol::endpoint::Piece;
use plugin_protocol::event::{peek_session_id, read_line};
use plugin_protocol::{ErrorObject, Line, LineSplitter, MessageKind, PluginEvent};

fuzz_target!(|bytes: &[u8]| {
    let mut lines = LineSplitter::new(1 << 16);
    lines.buffer().extend_from_slice(bytes);
    while let Some(line) = lines.next_line().or_else(|| lines.finish()) {
        let Line::Whole(line) = line else { continue };
        let _ = peek_session_id(&line);
        read_line(&line, |event| {
            let Ok(PluginEvent::Session { message, .. }) = event else { return };
            let data = message.data.get().as_bytes();
            match message.kind {
                MessageKind::Invoke => drop(Invoke::parse(data)),
                MessageKind::Error => drop(ErrorObject::from_plugin(message.data)),
                _ => drop(Piece::parse(data)),
            }
        });
    }
});
