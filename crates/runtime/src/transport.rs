//! Words for failures of HTTP.

use std::error::Error as _;

/// What went wrong, with every cause, and without the URL, which may hold secrets.
pub fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
