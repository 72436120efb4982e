//! Reads folders of plugins from standard input, one path a line, and prints a JSON object for each: `declaration` as
//! Dify gets it, with the `install_error` by which an install is refused, if it is; or the `error` by which an upload is.

use std::io::{self, BufRead as _, Write as _};

use plugin_manifest::{Declaration, dify, install_refusals, refusals};
use plugin_package::Folder;
use serde_json::json;

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for path in io::stdin().lock().lines() {
        let answer = match decode(&path?) {
            Ok((declaration, install_error)) => json!({"declaration": declaration, "install_error": install_error}),
            Err(error) => json!({"error": error}),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn decode(path: &str) -> Result<(Declaration, Option<String>), String> {
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
    let unstartable = install_refusals(&folder);
    let install_error = (!unstartable.is_empty()).then(|| unstartable.join("; "));
    Ok((declaration, install_error))
}
