//! What an upload refuses of packages that decode.

use crate::decode::Notice;
use crate::locate::Documents;
use crate::{Declaration, Files, dify};

/// Why a plugin could never work: values that Dify does not know in any version, and files that the SDK cannot read.
/// One line each, with place, field, reason and remedy; none for a good plugin.
///
/// `notices` are those of [`decode_with_notices`](crate::decode_with_notices). Packages that are installed already are
/// not to be asked.
pub fn refusals(files: &dyn Files, declaration: &Declaration, notices: &[Notice]) -> Vec<String> {
    let mut found: Vec<String> = notices.iter().filter(|notice| notice.is_fatal).map(ToString::to_string).collect();
    let documents = Documents::new(files);
    for violation in dify::refused(declaration) {
        let (place, field) = documents.find(declaration, &violation.path);
        found.push(format!("{place}: `{field}`: {}: Dify could not read the plugin", violation.reason));
    }
    found
}
