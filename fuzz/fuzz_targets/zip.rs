//! Packages: opening, decoding, hashing and verifying any bytes neither panics nor takes more than the limits allow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_package::signature::TrustedKeys;
use plugin_package::{Limits, Package, asset_names, readmes};

const LIMITS: Limits = Limits { uncompressed: 1 << 20, entries: 1000 };

fuzz_target!(|bytes: &[u8]| {
    let Ok(package) = Package::open(bytes.to_vec().into(), &LIMITS) else { return };
    let keys = TrustedKeys::official();
    let checksum = package.checksum();
    if let Ok(identifier) = package.identifier() {
        assert_eq!(identifier.checksum(), checksum.expect("an identifier has a checksum"));
    }
    drop((package.verification(&keys), package.declaration(&keys), readmes(&package), asset_names(&package)));
});
