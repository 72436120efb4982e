//! Unique identifiers: any text is judged without panic, and the parts of a good one make it up again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_manifest::UniqueIdentifier;

fuzz_target!(|text: &str| {
    let Ok(id) = text.parse::<UniqueIdentifier>() else { return };
    assert_eq!(id.as_str(), text);
    assert_eq!(format!("{}:{}@{}", id.plugin_id(), id.version(), id.checksum()), text);
    assert_eq!((id.plugin_id().author(), id.plugin_id().name()), (id.author(), id.name()));
    let _ = id.is_remote_like();
});
