//! `docs/cli.md`.

use std::path::Path;

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == plugin_cli::docs::markdown(), "docs/cli.md is not current: run ./dev generate");
}
