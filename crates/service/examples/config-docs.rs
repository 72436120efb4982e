//! Prints docs/configuration.md, or .env.example if the argument is `example`: `./dev generate`.

use std::io::Write as _;

use plugin_service::config;

fn main() -> std::io::Result<()> {
    let text = match std::env::args().nth(1).as_deref() {
        Some("example") => config::example(),
        _ => config::reference(),
    };
    std::io::stdout().write_all(text.as_bytes())
}
