//! Plugin packages (`.difypkg`) and bundles (`.difybndl`): read, checked, hashed, signed, verified and packed
//! (package-format 1, 2, 14 to 19).
//!
//! Everything here is synchronous and needs no network. Outside input is a slice of bytes or a folder; memory stays
//! bounded by that input and by one unpacked file at a time.

pub mod bundle;
mod checksum;
mod extract;
mod folder;
mod ignore;
mod media;
mod pack;
mod package;
mod readme;
pub mod signature;
#[cfg(test)]
mod testing;
mod zip;

pub use self::checksum::checksum;
pub use self::extract::ExtractError;
pub use self::folder::byproduct::Byproduct;
pub use self::folder::{Folder, FolderError};
pub use self::ignore::IgnoreRules;
pub use self::media::{ASSETS, IconError, asset_id, asset_names, read_asset, remap_icons};
pub use self::pack::{PackError, PackOptions, TooLarge, pack};
pub use self::package::{Package, PackageError};
pub use self::readme::{ReadmeError, readmes};
pub use self::zip::{ContentFault, Limits, NameFault, ZipError};
