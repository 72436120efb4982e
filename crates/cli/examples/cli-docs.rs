//! Prints docs/cli.md: `./dev generate`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(plugin_cli::docs::markdown().as_bytes())
}
