//! RSA keys in PEM files: those that are trusted, and those to sign with (package-format 16).

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey};
use pem::Pem;
use pkcs8::PrivateKeyInfoRef;

const OFFICIAL: &str = include_str!("official.pem");
const PUBLIC_PKCS1: &str = "RSA PUBLIC KEY";
const PUBLIC_SPKI: &str = "PUBLIC KEY";
const PRIVATE_PKCS1: &str = "RSA PRIVATE KEY";
const PRIVATE_PKCS8: &str = "PRIVATE KEY";
/// Bits of the shortest key taken.
const SHORTEST: u32 = 2048;

/// Why a key cannot be used; `source` says which one, a path as a rule.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("failed to read key file {path}: {cause}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// No block between `-----BEGIN` and `-----END` lines, or a broken one.
    #[error("failed to decode PEM block containing {wanted} key: {origin}: {cause}")]
    Pem {
        /// Where the key came from.
        origin: String,
        /// `public` or `private`.
        wanted: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The PEM block holds something else.
    #[error("failed to decode PEM block containing {wanted} key: {origin} holds a {found:?}, not a {expected:?}")]
    Kind {
        /// Where the key came from.
        origin: String,
        /// `public` or `private`.
        wanted: &'static str,
        /// The label found.
        found: String,
        /// The label that should be there.
        expected: &'static str,
    },
    /// The block does not hold an RSA key.
    #[error("{origin} does not hold a valid RSA key: {cause}")]
    Invalid {
        /// Where the key came from.
        origin: String,
        /// What is wrong.
        cause: String,
    },
    /// The key is too short to be trusted.
    #[error("{origin} holds an RSA key of {bits} bits; at least 2048 are needed")]
    Short {
        /// Where the key came from.
        origin: String,
        /// Its length in bits.
        bits: u32,
    },
}

/// Whose key a signature was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The key of Dify's marketplace.
    Official,
    /// Another trusted key, by the file it came from.
    ThirdParty(String),
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Official => f.write_str("the official key"),
            Self::ThirdParty(source) => f.write_str(source),
        }
    }
}

#[derive(Debug, Clone)]
struct TrustedKey {
    signer: Signer,
    key: PublicKey,
}

/// The public keys whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
}

impl TrustedKeys {
    /// The official key alone.
    pub fn official() -> Self {
        let mut keys = Self::default();
        // The file is part of the program, and a test reads it; without it, packages would merely not be verified.
        if let Ok(read) = read_public("official.pem", OFFICIAL.as_bytes()) {
            keys.keys.extend(read.into_iter().map(|key| TrustedKey { signer: Signer::Official, key }));
        }
        keys
    }

    /// The keys of one PEM text alone; `origin` names it in errors and in verifications.
    pub fn only(origin: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        keys.add(origin, pem)?;
        Ok(keys)
    }

    /// The official key and those of the given places, with the places that could not be used.
    ///
    /// A place is a PEM file, a folder whose `*.pem` files are read, or a PEM text itself. Blank ones are skipped. One
    /// that cannot be used does not stop the others, least of all the official key.
    pub fn load<S: AsRef<str>>(places: impl IntoIterator<Item = S>) -> (Self, Vec<KeyError>) {
        let (mut keys, mut errors) = (Self::official(), Vec::new());
        for place in places {
            let place = place.as_ref().trim();
            if place.starts_with("-----BEGIN") {
                errors.extend(keys.add("the key given in the configuration", place.as_bytes()).err());
            } else if !place.is_empty() {
                keys.add_path(Path::new(place), &mut errors);
            }
        }
        (keys, errors)
    }

    /// Adds the keys of a PEM text.
    fn add(&mut self, origin: &str, pem: &[u8]) -> Result<(), KeyError> {
        let signer = Signer::ThirdParty(origin.to_owned());
        let keys = read_public(origin, pem)?;
        self.keys.extend(keys.into_iter().map(|key| TrustedKey { signer: signer.clone(), key }));
        Ok(())
    }

    fn add_path(&mut self, path: &Path, errors: &mut Vec<KeyError>) {
        let files = match pem_files(path) {
            Ok(files) => files,
            Err(error) => return errors.push(error),
        };
        for file in files {
            let added = match std::fs::read(&file) {
                Ok(text) => self.add(&file.display().to_string(), &text),
                Err(cause) => Err(KeyError::Read { path: file, cause }),
            };
            errors.extend(added.err());
        }
    }

    /// The first key that made a signature (RSASSA-PKCS1-v1_5 over SHA-256 of the message).
    pub(super) fn signer_of(&self, message: &[u8], signature: &[u8]) -> Option<&Signer> {
        let fits = |trusted: &&TrustedKey| {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, trusted.key.as_ref()).verify(message, signature).is_ok()
        };
        self.keys.iter().find(fits).map(|trusted| &trusted.signer)
    }
}

/// The file itself, or the `*.pem` files of a folder in the order of their names.
fn pem_files(path: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let fail = |cause| KeyError::Read { path: path.to_owned(), cause };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let file = entry.map_err(fail)?.path();
        if file.extension().is_some_and(|extension| extension == "pem") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// Every public key of a PEM text: at least one, in PKCS#1 or SPKI form.
fn read_public(origin: &str, pem: &[u8]) -> Result<Vec<PublicKey>, KeyError> {
    let mut keys = Vec::new();
    for block in read_pem(origin, "public", pem)? {
        if !matches!(block.tag(), PUBLIC_PKCS1 | PUBLIC_SPKI) {
            return Err(wrong_kind(origin, "public", PUBLIC_PKCS1, &block));
        }
        let key = PublicKey::from_der(block.contents()).map_err(|error| invalid(origin, error))?;
        let bits = RsaParameters::public_modulus_len(key.as_ref()).map_err(|error| invalid(origin, error))?;
        if bits < SHORTEST {
            return Err(KeyError::Short { origin: origin.to_owned(), bits });
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The blocks of a PEM text, at least one. Indented lines, blank lines and text around the blocks do not matter, nor
/// does a text whose line breaks have become `\n`, as in environment variables.
fn read_pem(origin: &str, wanted: &'static str, text: &[u8]) -> Result<Vec<Pem>, KeyError> {
    let fail = |cause: String| KeyError::Pem { origin: origin.to_owned(), wanted, cause };
    let text = str::from_utf8(text).map_err(|_| fail("it is no text".to_owned()))?.replace("\\n", "\n");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let blocks = pem::parse_many(lines.join("\n")).map_err(|error| fail(error.to_string()))?;
    if blocks.is_empty() {
        return Err(fail("it has no block from a -----BEGIN to an -----END line".to_owned()));
    }
    Ok(blocks)
}

fn wrong_kind(origin: &str, wanted: &'static str, expected: &'static str, block: &Pem) -> KeyError {
    KeyError::Kind { origin: origin.to_owned(), wanted, found: block.tag().to_owned(), expected }
}

fn invalid(origin: &str, cause: impl fmt::Display) -> KeyError {
    KeyError::Invalid { origin: origin.to_owned(), cause: cause.to_string() }
}

/// A private key to sign packages with.
#[derive(Debug)]
pub struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a PEM text with one private key, in PKCS#1 or PKCS#8 form, not encrypted.
    pub fn from_pem(origin: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let blocks = read_pem(origin, "private", pem)?;
        let [block] = blocks.as_slice() else {
            let cause = format!("extra data included in the PEM block ({} blocks instead of one)", blocks.len());
            return Err(KeyError::Pem { origin: origin.to_owned(), wanted: "private", cause });
        };
        let pair = match block.tag() {
            PRIVATE_PKCS1 => KeyPair::from_der(block.contents()),
            PRIVATE_PKCS8 => KeyPair::from_pkcs8(block.contents()),
            _ => return Err(wrong_kind(origin, "private", PRIVATE_PKCS1, block)),
        };
        pair.map(Self).map_err(|error| invalid(origin, error))
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

/// A new pair of keys as PEM texts in PKCS#1 form.
pub struct KeyPairPem {
    /// The private key; secret.
    pub private: String,
    /// The public key.
    pub public: String,
}

impl fmt::Debug for KeyPairPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPairPem").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Makes a pair of RSA keys of 4096 bits. Takes seconds.
///
/// # Errors
///
/// When the system has no randomness.
pub fn generate_key_pair() -> Result<KeyPairPem, KeyError> {
    generate(KeySize::Rsa4096)
}

/// Makes a pair of RSA keys.
pub(crate) fn generate(size: KeySize) -> Result<KeyPairPem, KeyError> {
    let fail = |cause: &str| invalid("the new key", cause);
    let pair = KeyPair::generate(size).map_err(|_| fail("generation failed"))?;
    let pkcs8 = pair.as_der().map_err(|_| fail("it cannot be encoded"))?;
    let info = PrivateKeyInfoRef::try_from(pkcs8.as_ref()).map_err(|error| invalid("the new key", error))?;
    let private = encode(PRIVATE_PKCS1, info.private_key.as_bytes());
    Ok(KeyPairPem { private, public: encode(PUBLIC_PKCS1, pair.public_key().as_ref()) })
}

fn encode(tag: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&Pem::new(tag, der), config)
}

#[cfg(test)]
mod tests;
