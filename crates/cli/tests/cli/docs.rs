use std::path::Path;

/// The page is made anew by running this test with `UPDATE_DOCS=1`.
#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = plugin_cli::docs::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/cli.md is out of date: run UPDATE_DOCS=1 cargo test -p plugin-cli --test cli docs");
}
