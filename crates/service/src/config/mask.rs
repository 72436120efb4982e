//! Hides what authenticates in texts that are printed: the user-info and query of URLs, and values under names like
//! `password`.

use std::fmt;

const HIDDEN: &str = "(hidden)";

/// Parts of names whose values are hidden, in lower case.
const KEY_LIKE: [&str; 9] = ["passw", "pwd", "secret", "token", "credential", "signature", "auth", "apikey", "api_key"];

/// The text with everything hidden that could authenticate. Rather hides too much: what is malformed may still be secret.
///
/// ```
/// use plugin_service::config::masked;
///
/// assert_eq!(masked("redis://user:pass@redis:6379/0"), "redis://(hidden)@redis:6379/0");
/// assert_eq!(masked("host=db password=pass"), "host=db password=(hidden)");
/// assert_eq!(masked("redis:6379"), "redis:6379");
/// ```
pub fn masked(text: &str) -> String {
    mask(text, false)
}

fn mask(text: &str, quoted: bool) -> String {
    mask_pairs(&text.split_inclusive(is_space).map(mask_word).collect::<String>(), quoted)
}

/// Prints a value as [`fmt::Debug`] does, masked.
pub(super) struct Masked<'a, T>(pub(super) &'a T);

impl<T: fmt::Debug> fmt::Debug for Masked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&format!("{:?}", self.0), true))
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// URLs, and `user:password@host` without a scheme, in a text without spaces.
fn mask_word(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.rfind('@').map_or_else(|| word.to_owned(), |at| hide_before(word, at));
    };
    let end = rest.find(['/', '?', '#', ',']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let (authority, path) = match (authority.rfind('@'), path.rfind('@')) {
        (Some(at), _) => (format!("{HIDDEN}{}", authority.get(at..).unwrap_or_default()), path),
        // a password with a character that ends an authority
        (None, Some(at)) if !has_port(authority) || (path.starts_with(',') && !path.contains("://")) => {
            (HIDDEN.to_owned(), path.get(at..).unwrap_or_default())
        }
        _ => (authority.to_owned(), path),
    };
    // another URL may follow in a list
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = if path.contains("://") { mask_word(path) } else { path.to_owned() };
    match query {
        Some(query) if !query.is_empty() => {
            let end = query.trim_end_matches(|c: char| is_space(c) || "\"')],".contains(c)).len();
            let tail = query.get(end..).unwrap_or_default();
            format!("{scheme}://{authority}{path}?{HIDDEN}{tail}")
        }
        Some(_) => format!("{scheme}://{authority}{path}?"),
        None => format!("{scheme}://{authority}{path}"),
    }
}

/// Whether the authority is a host, or a host and a port.
fn has_port(authority: &str) -> bool {
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.rsplit_once(':').is_none_or(|(_, port)| digits(port) || port.ends_with(']'))
}

/// Hides what stands before the last `@`, but for what [`fmt::Debug`] puts before a text.
fn hide_before(word: &str, at: usize) -> String {
    let (before, after) = word.split_at_checked(at).unwrap_or(("", word));
    let secret = before.strip_prefix("Some(").unwrap_or(before).trim_start_matches(['"', '\'', '(', '[']);
    let open = before.get(..before.len() - secret.len()).unwrap_or_default();
    format!("{open}{HIDDEN}{after}")
}

/// `name=value` and `name: value` where the name is like that of a key; the value ends at a separator.
fn mask_pairs(text: &str, quoted: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at_checked(at + 1).unwrap_or((rest, ""));
        out.push_str(before);
        rest = after;
        let name = before.get(..at).unwrap_or_default();
        let name = name.rsplit(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.')).next();
        if !name.is_some_and(is_key_like) || rest.starts_with("//") {
            continue;
        }
        let value = value_len(rest, quoted);
        if rest.get(..value).is_some_and(|value| !value.trim().is_empty()) {
            out.push_str(HIDDEN);
            rest = rest.get(value..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Whether what has this name authenticates.
pub(crate) fn is_key_like(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "sig" || name.ends_with("key") || KEY_LIKE.iter().any(|part| name.contains(part))
}

/// Bytes up to the separator that ends a value; in what [`fmt::Debug`] has quoted, a quote that is not escaped ends it, too.
fn value_len(text: &str, quoted: bool) -> usize {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let ends = matches!(c, ';' | '&' | ',' | '\n') || (quoted && c == '"' && !escaped);
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_authenticates_is_hidden_and_the_rest_stays() {
        for (text, expected) in [
            ("http://u:s3cr3t@proxy:3128/a", "http://(hidden)@proxy:3128/a"),
            ("https://s3cr3t@index/simple", "https://(hidden)@index/simple"),
            ("http://u:s3cr3t@x@proxy", "http://(hidden)@proxy"),
            ("http://u:s3/cr3t@proxy", "http://(hidden)@proxy"),
            ("http://a:1,http://u:s3cr3t@b/c", "http://a:1,http://(hidden)@b/c"),
            ("http://u:1,2@proxy", "http://(hidden)@proxy"),
            ("--index-url https://u:s3cr3t@a/simple -v", "--index-url https://(hidden)@a/simple -v"),
            ("u:s3cr3t@redis-1:6379,redis-2:6379", "(hidden)@redis-1:6379,redis-2:6379"),
            ("https://account.example/c?sv=1&sig=s3cr3t", "https://account.example/c?(hidden)"),
            ("sslmode=require&sslpassword=s3cr3t", "sslmode=require&sslpassword=(hidden)"),
            ("AccountName=a;AccountKey=s3cr3t==;Suffix=b", "AccountName=a;AccountKey=(hidden);Suffix=b"),
            ("Authorization: Bearer s3cr3t", "Authorization:(hidden)"),
            ("postgres", "postgres"),
            ("http://127.0.0.1:5001", "http://127.0.0.1:5001"),
            ("https://host:8080/@scope/p?", "https://host:8080/@scope/p?"),
            ("[fd00::1]:80", "[fd00::1]:80"),
            ("a=b&c=d", "a=b&c=d"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn what_debug_prints_is_masked_too() {
        let check = |value: &dyn fmt::Debug, expected: &str| assert_eq!(format!("{:?}", Masked(&value)), expected);
        check(&Some("http://u:s3\"cr3t@proxy:1"), r#"Some("http://(hidden)@proxy:1")"#);
        check(&["u:s3cr3t@a", "b"], r#"["(hidden)@a", "b"]"#);
        check(&["https://a/?sig=s3cr3t", "b"], r#"["https://a/?(hidden)", "b"]"#);
        check(&["password=s3\"cr3t", "b"], r#"["password=(hidden)", "b"]"#);
    }
}
