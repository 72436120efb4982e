//! Where a function is.

use reqwest::Url;

/// A function that runs a plugin version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Below it is `invoke`.
    pub url: Url,
}

impl Function {
    /// Longest name and URL in bytes: those of the columns that keep them.
    const MAX_NAME: usize = 127;
    const MAX_URL: usize = 255;

    /// Checks what a connector or an administrator says of a function; the error says what is wrong.
    ///
    /// ```
    /// use plugin_runtime::serverless::Function;
    ///
    /// let function = Function::parse("search", "https://functions.example/search")?;
    /// assert_eq!(function.url.host_str(), Some("functions.example"));
    /// let error = Function::parse("search", "ftp://functions.example/search").unwrap_err();
    /// assert_eq!(error, "the function's URL 'ftp://functions.example/search' is not an http or https URL");
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(name: &str, url: &str) -> Result<Self, String> {
        if name.len() > Self::MAX_NAME {
            return Err(format!("the function's name has more than {} bytes", Self::MAX_NAME));
        }
        if url.len() > Self::MAX_URL {
            return Err(format!("the function's URL has more than {} bytes", Self::MAX_URL));
        }
        let parsed: Url = url.parse().map_err(|error| format!("the function's URL '{url}' is none: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(format!("the function's URL '{url}' is not an http or https URL"));
        }
        Ok(Self { name: name.to_owned(), url: parsed })
    }
}
