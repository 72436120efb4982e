//! Reads folders of plugins from standard input, one path a line, and prints a JSON object for each: `declaration` as
//! Dify gets it, or the `error` by which an upload is refused.

use std::io::{self, BufRead as _, Write as _};

use plugin_manifest::{dify, refusals};
use plugin_package::Folder;
use serde_json::json;

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for path in io::stdin().lock().lines() {
        let answer = match decode(&path?) {
            Ok(declaration) => json!({"declaration": declaration}),
            Err(error) => json!({"error": error}),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn decode(path: &str) -> Result<plugin_manifest::Declaration, String> {
    let folder = Folder::open(path).map_err(|error| error.to_string())?;
    let decoded = plugin_manifest::decode_with_notices(&folder).map_err(|error| error.to_string())?;
    let (mut declaration, notices) = decoded;
    declaration.validate().map_err(|error| error.to_string())?;
    declaration.unique_identifier(&"0".repeat(64)).map_err(|error| error.to_string())?;
    let refused = refusals(&folder, &declaration, &notices);
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    dify::adapt(&mut declaration);
    Ok(declaration)
}
