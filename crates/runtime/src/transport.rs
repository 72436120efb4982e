//! Descriptions of failed HTTP requests.

use std::error::Error;

/// What went wrong, with every cause, and without the URL, which may hold secrets.
pub fn describe(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

/// An error and its causes, separated by colons: the text of a client's error alone only says that it failed.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
