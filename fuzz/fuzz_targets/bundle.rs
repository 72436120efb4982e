//! Bundles: reading any bytes does not panic, and what can be read can be changed, written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_package::Limits;
use plugin_package::bundle::Bundle;

const LIMITS: Limits = Limits { uncompressed: 1 << 20, entries: 1000 };

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut bundle) = Bundle::open(bytes.to_vec().into(), &LIMITS) else { return };
    drop(bundle.validate());
    bundle.bump("1.2.3").expect("a version that is one");
    if !bundle.manifest().dependencies.is_empty() {
        bundle.remove(0).expect("a dependency that is there");
    }
    // Contents are read only now, and may be damaged.
    let Ok(archive) = bundle.to_archive() else { return };
    let limits = Limits { uncompressed: u64::MAX, ..LIMITS };
    let again = Bundle::open(archive.into(), &limits).expect("a bundle that was written");
    assert_eq!(again.manifest(), bundle.manifest());
});
