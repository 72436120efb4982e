//! Who vouches for a package: its signature, the record of its category, and the keys that count (package-format 16).

mod keys;
mod policy;
mod sign;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[cfg(test)]
pub(crate) use self::keys::generate;
pub use self::keys::{KeyError, KeyPairPem, Signer, SigningKey, TrustedKeys, generate_key_pair};
pub use self::policy::{Policy, PolicyError};
pub(crate) use self::sign::sign;
pub use self::sign::{InvalidCategory, SignError, category};
use crate::checksum::ContentDigest;
use crate::zip::{Archive, Entry, ZipError};

/// Name of the entry that holds the record of the category.
pub const RECORD: &str = ".verification.dify.json";
/// Category of packages that were signed before there were records.
const DEFAULT_CATEGORY: &str = "langgenius";
/// Largest entry, in bytes, in which a record under another name is looked for; signers write far smaller ones.
const LARGEST_RECORD: u64 = 4096;

/// What a good signature says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// `langgenius`, `partner` or `community` as a rule; any text is taken, as it was signed.
    pub authorized_category: String,
    /// Whose key it is.
    #[serde(skip)]
    pub signer: Signer,
    /// When it was signed, in Unix seconds, as the signer says.
    #[serde(skip)]
    pub signed_at: i64,
    /// How far the signature vouches for the names of the files.
    #[serde(skip)]
    pub names: Names,
}

/// How far a signature vouches for the names of the files; the reference's covers their contents and order alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// They are part of what was signed.
    Signed,
    /// They are in one of the orders that packagers write, so that none was swapped with another.
    Ordered,
    /// They may have been changed after the signature.
    Unknown,
}

/// Why a package that has a signature is not verified.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The archive comment is not a signature.
    #[error("the archive comment is not a signature: {0}")]
    Comment(String),
    /// No trusted key made the signature: another key did, or something has been changed since.
    #[error("the signature was made by none of the trusted keys, or the package was changed after it was signed")]
    Untrusted,
    /// The record of the category is not JSON, or not a record.
    #[error("{RECORD} is not a record of a category: {0}")]
    Record(String),
    /// A file's name has been changed so that it counts, or no longer counts, as the record.
    #[error("the record of the category was renamed or moved: it has to be the last entry, {RECORD}")]
    RecordMoved,
    /// Several entries have one name, so that not all that was signed would be used.
    #[error("the signed package has several entries named {0}")]
    Duplicate(String),
    /// The record lists other names.
    #[error("the names of the files were changed after the package was signed")]
    NamesChanged,
    /// A content cannot be read.
    #[error(transparent)]
    Zip(#[from] ZipError),
}

/// The archive comment of a signed package.
#[derive(Serialize, Deserialize)]
struct Comment {
    signature: String,
    time: i64,
}

/// Content of the entry [`RECORD`].
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    authorized_category: Option<String>,
    /// Digest of the names of the other entries, as [`names_digest`] makes it. The reference neither writes nor minds
    /// it; being part of a signed content it cannot be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<String>,
}

impl Record {
    fn parse(content: &[u8]) -> Result<Self, serde_json::Error> {
        // A struct by itself could also be read from an array.
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(content)?;
        serde_json::from_value(object.into())
    }
}

/// Checks an archive's signature, whose entries have these digests. `None` says that it has none.
pub(crate) fn verify(
    archive: &Archive,
    digests: &[ContentDigest],
    keys: &TrustedKeys,
) -> Result<Option<Verification>, SignatureError> {
    if archive.comment().is_empty() {
        return Ok(None);
    }
    let comment: Comment =
        serde_json::from_slice(archive.comment()).map_err(|error| SignatureError::Comment(error.to_string()))?;
    let signature =
        BASE64.decode(&comment.signature).map_err(|error| SignatureError::Comment(format!("base64: {error}")))?;
    let signer = keys.signer_of(&message(digests, comment.time), &signature).ok_or(SignatureError::Untrusted)?;
    let record = find_record(archive)?;
    let names: Vec<&str> = archive.entries().iter().map(Entry::name).filter(|name| *name != RECORD).collect();
    refuse_duplicates(&names)?;
    let signed_names = record.as_ref().and_then(|record| record.names.as_deref());
    let names = match signed_names {
        Some(signed) if signed != names_digest(&names) => return Err(SignatureError::NamesChanged),
        Some(_) => Names::Signed,
        None if is_packagers_order(&names) => Names::Ordered,
        None => Names::Unknown,
    };
    let authorized_category = match record {
        Some(record) => record.authorized_category.unwrap_or_default(),
        None => DEFAULT_CATEGORY.to_owned(),
    };
    Ok(Some(Verification { authorized_category, signer: signer.clone(), signed_at: comment.time, names }))
}

/// What is signed: the digests of all contents in the order of the archive, then the time in decimal.
fn message(digests: &[ContentDigest], time: i64) -> Vec<u8> {
    let mut message = digests.concat();
    message.extend_from_slice(time.to_string().as_bytes());
    message
}

/// The record of the category, which is the last entry or not there.
///
/// The signature does not cover names: without this rule a file could be renamed to become the record, or the record
/// to become a file.
fn find_record(archive: &Archive) -> Result<Option<Record>, SignatureError> {
    // The reference appends a second record when it signs again; both then read as the first.
    let tail = archive.entries().iter().rev().take_while(|entry| entry.name() == RECORD).count();
    let all = archive.entries().iter().filter(|entry| entry.name() == RECORD).count();
    if tail != all {
        return Err(SignatureError::RecordMoved);
    }
    let Some(last) = archive.entries().last() else { return Ok(None) };
    let is_record = last.name() == RECORD;
    if !is_record && last.size() > LARGEST_RECORD {
        return Ok(None);
    }
    let content = archive.find(last.name()).map(|entry| archive.content(entry)).transpose()?.unwrap_or_default();
    match Record::parse(&content) {
        Ok(record) if is_record => Ok(Some(record)),
        Err(error) if is_record => Err(SignatureError::Record(error.to_string())),
        Ok(Record { authorized_category: Some(_), .. }) => Err(SignatureError::RecordMoved),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn refuse_duplicates(names: &[&str]) -> Result<(), SignatureError> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => Err(SignatureError::Duplicate(pair.iter().take(1).copied().collect())),
        None => Ok(()),
    }
}

/// Hexadecimal SHA-256 over the SHA-256 of each name, in the order of the archive.
fn names_digest(names: &[&str]) -> String {
    let mut whole = Sha256::new();
    for name in names {
        whole.update(Sha256::digest(name));
    }
    hex::encode(whole.finalize())
}

/// Whether names are in the order of their bytes, as packagers write them today, or in that of a walk through folders,
/// as they did before.
fn is_packagers_order(names: &[&str]) -> bool {
    names.is_sorted() || names.is_sorted_by(|a, b| a.split('/').le(b.split('/')))
}

#[cfg(test)]
mod tests;
