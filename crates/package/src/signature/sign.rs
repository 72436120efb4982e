//! Signs packages.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use sha2::{Digest, Sha256};

use super::{BASE64, Comment, RECORD, Record, SigningKey, message, names_digest};
use crate::zip::{Archive, ArchiveWriter, ZipError};

/// Why a package cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// An entry of the package cannot be read.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// The key refuses to sign.
    #[error("failed to sign: the key cannot make an RSA signature over SHA-256")]
    Key,
    /// The signed package cannot be put together.
    #[error("failed to write the signed package: {0}")]
    Write(#[from] std::io::Error),
}

/// A category that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid authorized category: {0:?} is none of langgenius, partner and community")]
pub struct InvalidCategory(pub String);

/// The category that a text means, in any case; an empty text means none.
pub fn category(text: &str) -> Result<String, InvalidCategory> {
    let lower = text.to_lowercase();
    match lower.as_str() {
        "" | "langgenius" | "partner" | "community" => Ok(lower),
        _ => Err(InvalidCategory(text.to_owned())),
    }
}

/// Signs the package in an archive, see [`Package::sign`](crate::Package::sign).
pub(crate) fn sign(archive: &Archive, key: &SigningKey, category: &str, time: i64) -> Result<Vec<u8>, SignError> {
    let mut writer = ArchiveWriter::new();
    let (mut digests, mut names) = (Vec::new(), Vec::new());
    for (index, entry) in archive.entries().iter().enumerate() {
        let is_first = archive.position(entry.name()) == Some(index);
        if !is_first || entry.name() == RECORD {
            continue;
        }
        let content = archive.content(entry)?;
        digests.push(Sha256::digest(&content).into());
        names.push(entry.name());
        writer.add(entry.name(), &content)?;
    }
    let record = Record { authorized_category: Some(category.to_owned()), names: Some(names_digest(&names)) };
    let record = serde_json::to_vec(&record).map_err(std::io::Error::from)?;
    digests.push(Sha256::digest(&record).into());
    writer.add(RECORD, &record)?;

    let mut signature = vec![0; key.pair().public_modulus_len()];
    key.pair()
        .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message(&digests, time), &mut signature)
        .map_err(|_| SignError::Key)?;
    let comment = Comment { signature: BASE64.encode(signature), time };
    let comment = serde_json::to_vec(&comment).map_err(std::io::Error::from)?;
    Ok(writer.finish(&comment)?)
}
