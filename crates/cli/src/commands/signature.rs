//! `dify signature` (cli 8)

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use plugin_package::signature::{Names, Signer, SigningKey, TrustedKeys, Verification, category, generate_key_pair};
use serde_json::json;

use super::Format;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::printer::Printer;
use crate::source::open_package;

#[derive(Debug, Args)]
pub(crate) struct Signature {
    #[command(subcommand)]
    command: SignatureCommand,
}

#[derive(Debug, Subcommand)]
enum SignatureCommand {
    /// Generate a key pair
    Generate(Generate),
    /// Sign a package
    Sign(Sign),
    /// Verify the signature of a package
    Verify(Verify),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Writes <NAME>.private.pem, readable by you alone and to be kept secret, and <NAME>.public.pem, which a daemon is
given in THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS. Keys that are there already stay.

Example:
  dify signature generate -f mine")]
struct Generate {
    /// Name of both files without their ends
    #[arg(short, long, default_value = "dify_plugin_signing_key", value_name = "NAME")]
    filename: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The signed package is written beside the other one: demo.difypkg becomes demo.signed.difypkg. A signature that is there
already is replaced.

Example:
  dify signature sign demo.difypkg -p mine.private.pem -c community")]
struct Sign {
    /// The package
    package: PathBuf,
    /// The private key
    #[arg(short, long = "private_key", alias = "private-key", value_name = "FILE")]
    private_key: PathBuf,
    /// Category of the signature: langgenius, partner or community
    #[arg(short = 'c', long = "authorized_category", alias = "authorized-category", default_value = "langgenius")]
    #[arg(value_name = "CATEGORY")]
    category: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without a key, the signature has to be the marketplace's.

Examples:
  dify signature verify demo.signed.difypkg
  dify signature verify demo.signed.difypkg -p mine.public.pem")]
struct Verify {
    /// The package
    package: PathBuf,
    /// The public key to verify with
    #[arg(short, long = "public_key", alias = "public-key", value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Signature {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        match self.command {
            SignatureCommand::Generate(generate) => generate.run(printer),
            SignatureCommand::Sign(sign) => sign.run(printer),
            SignatureCommand::Verify(verify) => verify.run(printer),
        }
    }
}

impl Generate {
    fn run(self, printer: Printer) -> Result<()> {
        let named = |ending: &str| {
            let mut path = self.filename.clone().into_os_string();
            path.push(ending);
            PathBuf::from(path)
        };
        let (private, public) = (named(".private.pem"), named(".public.pem"));
        for path in [&private, &public] {
            if path.symlink_metadata().is_ok() {
                return Err(Failure::new(format!("{} exists already", path.display()))
                    .hint("choose another name with -f: what is signed with a lost key cannot be signed again")
                    .into());
            }
        }
        let keys = generate_key_pair()?;
        files::undisturbed(|| {
            files::write_new(&private, keys.private.as_bytes(), Access::Private)?;
            // half a pair is of no use
            files::write_new(&public, keys.public.as_bytes(), Access::Usual).inspect_err(|_| {
                let _first_error_counts = std::fs::remove_file(&private);
            })
        })?;
        printer.info(
            "key pair generated successfully",
            &[("private_key", &private.display()), ("public_key", &public.display())],
        );
        Ok(())
    }
}

impl Sign {
    fn run(self, printer: Printer) -> Result<()> {
        let category = category(&self.category).map_err(|error| Failure::usage(error.to_string()))?;
        let package = open_package(&self.package)?;
        let key = read(&self.private_key, "private")?;
        let key = SigningKey::from_pem(&self.private_key.display().to_string(), &key)
            .map_err(|error| Failure::new("failed to load private key").because(error))?;
        // a package that no daemon would take is not worth a signature
        package
            .declaration(&TrustedKeys::default())
            .map_err(|error| Failure::new("failed to sign plugin").because(error))?;
        let signed = package
            .sign(&key, &category, Timestamp::now().as_second())
            .map_err(|error| Failure::new("failed to sign plugin").because(error))?;
        let output = signed_name(&self.package);
        files::write(&output, &signed)?;
        printer.info("plugin signed successfully", &[("output_path", &output.display()), ("category", &category)]);
        Ok(())
    }
}

/// `demo.difypkg` becomes `demo.signed.difypkg`.
fn signed_name(package: &Path) -> PathBuf {
    let mut name = package.file_stem().unwrap_or_default().to_owned();
    name.push(".signed");
    if let Some(extension) = package.extension() {
        name.push(".");
        name.push(extension);
    }
    package.with_file_name(name)
}

impl Verify {
    fn run(self, printer: Printer) -> Result<()> {
        let package = open_package(&self.package)?;
        let (keys, whose) = match &self.public_key {
            Some(path) => {
                let keys = TrustedKeys::only(&path.display().to_string(), &read(path, "public")?)
                    .map_err(|error| Failure::new("failed to load public key").because(error))?;
                (keys, "provided")
            }
            None => (TrustedKeys::official(), "official"),
        };
        let failed = || Failure::new(format!("failed to verify plugin with {whose} public key"));
        let hint = "give the signer's public key with -p";
        let found = package.verification(&keys).map_err(|error| failed().because(error).hint(hint))?;
        let Some(verification) = found else {
            return Err(failed().because("the package is not signed").hint("sign it: dify signature sign").into());
        };
        match self.format {
            Format::Text => print(printer, &verification),
            Format::Json => printer.json(&json!({
                "authorized_category": verification.authorized_category,
                "signer": verification.signer.to_string(),
                "signed_at": when(&verification),
                "names_signed": verification.names == Names::Signed,
            }))?,
        }
        Ok(())
    }
}

fn print(printer: Printer, verification: &Verification) {
    let Verification { authorized_category, signer, names, .. } = verification;
    let time = when(verification);
    printer.info(
        "plugin verified successfully",
        &[("category", authorized_category), ("signer", signer), ("time", &time)],
    );
    if matches!(signer, Signer::ThirdParty(_)) && authorized_category == "langgenius" {
        printer.warn("the signature claims category langgenius, and the key is not the marketplace's", &[]);
    }
    if *names == Names::Unknown {
        printer.warn("the names of the files may have been changed after the signature", &[]);
    }
}

fn when(verification: &Verification) -> String {
    Timestamp::from_second(verification.signed_at)
        .map_or_else(|_| verification.signed_at.to_string(), |time| time.to_string())
}

fn read(path: &Path, which: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(format!("failed to read {which} key file {}", path.display()))
            .because(error)
            .hint("make a pair of keys with `dify signature generate`")
    })
}
