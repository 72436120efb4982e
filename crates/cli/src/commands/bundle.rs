//! `dify bundle` (cli 7)

mod analyze;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::ZonedDateTime;
use plugin_package::bundle::{self, BundleError};

use self::analyze::Analyze;
use super::package::output_named;
use crate::failure::Failure;
use crate::files;
use crate::interact::{self, Answer, cancelled, need_terminal, rule};
use crate::printer::Printer;
use crate::scaffold::{AUTHOR_RULE, NAME_RULE, is_author, is_name};
use crate::source::LIMITS;

#[derive(Debug, Args)]
#[command(after_help = "\
A bundle is a folder with a manifest.yaml and _assets, or a .difybndl file; both are changed in place.

Example:
  dify bundle init --name tools --author acme --description 'All our tools'
  dify bundle append marketplace tools -m langgenius/google:0.0.9
  dify bundle append package tools -p demo.difypkg
  dify bundle package tools")]
pub(crate) struct Bundle {
    #[command(subcommand)]
    command: BundleCommand,
}

#[derive(Debug, Subcommand)]
enum BundleCommand {
    /// Make a new bundle
    Init(Init),
    /// List what a bundle installs
    Analyze(Analyze),
    /// Add a dependency to a bundle
    Append(Append),
    /// Change the name, author and description of a bundle
    Regenerate(Regenerate),
    /// Change the version of a bundle
    Bump(Bump),
    /// Remove a dependency from a bundle
    Remove(Remove),
    /// Pack a bundle into a .difybndl file
    Package(Package),
}

/// Name, author and description of a bundle.
#[derive(Debug, Args)]
struct Identity {
    /// Name: lower-case letters, digits, - and _
    #[arg(long)]
    name: Option<String>,
    /// Author: lower-case letters, digits, - and _
    #[arg(long)]
    author: Option<String>,
    /// Description, in a sentence
    #[arg(long)]
    description: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Prompts for what the flags do not give.

Example:
  dify bundle init --name tools --author acme --description 'All our tools'")]
struct Init {
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Append {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a package from a GitHub release
    Github(AppendGithub),
    /// Add a plugin from the marketplace
    Marketplace(AppendMarketplace),
    /// Add a package, which becomes part of the bundle
    Package(AppendPackage),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dify bundle append github ./tools -r acme/demo:1.0.0/demo.difypkg
A version can also be a range: ~1.0.0, ^1.0.0, 1.x.x, 1.0.0-2.0.0.")]
struct AppendGithub {
    /// The bundle
    path: PathBuf,
    /// owner/repo:VERSION/asset
    #[arg(short, long = "repo_pattern", alias = "repo-pattern", value_name = "PATTERN")]
    repo_pattern: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dify bundle append marketplace ./tools -m langgenius/google:0.0.9
A version can also be a range: ~1.0.0, ^1.0.0, 1.x.x, 1.0.0-2.0.0.")]
struct AppendMarketplace {
    /// The bundle
    path: PathBuf,
    /// organization/plugin:VERSION
    #[arg(short, long = "marketplace_pattern", alias = "marketplace-pattern", value_name = "PATTERN")]
    marketplace_pattern: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dify bundle append package ./tools -p demo.difypkg")]
struct AppendPackage {
    /// The bundle
    path: PathBuf,
    /// The package
    #[arg(short, long = "package_path", alias = "package-path", value_name = "FILE")]
    package_path: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Prompts for what the flags do not give.")]
struct Regenerate {
    /// The bundle
    path: PathBuf,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dify bundle bump ./tools -t 0.0.2")]
struct Bump {
    /// The bundle
    path: PathBuf,
    /// The version
    #[arg(short, long = "target_version", alias = "target-version", value_name = "VERSION")]
    target_version: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
`dify bundle analyze` prints the indexes.

Example:
  dify bundle remove ./tools -i 0")]
struct Remove {
    /// The bundle
    path: PathBuf,
    /// Index of the dependency, counted from 0
    #[arg(short, long, allow_hyphen_values = true)]
    index: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dify bundle package ./tools -o tools.difybndl")]
struct Package {
    /// The bundle
    path: PathBuf,
    /// Where to write it [default: <folder>.difybndl in the working folder]
    #[arg(short, long = "output_path", alias = "output-path", value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Bundle {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        match self.command {
            BundleCommand::Init(init) => init.run(printer),
            BundleCommand::Analyze(analyze) => analyze.run(printer),
            BundleCommand::Append(Append { what }) => append(&what, printer),
            BundleCommand::Regenerate(Regenerate { path, identity }) => {
                let mut bundle = open(&path)?;
                let manifest = bundle.manifest();
                let present = [&manifest.name, &manifest.author, &manifest.description.en_us].map(String::clone);
                let [name, author, description] = identity.complete(present)?;
                bundle.describe(&name, &author, &description)?;
                save(&bundle)?;
                printer.info("successfully regenerated bundle", &[]);
                Ok(())
            }
            BundleCommand::Bump(Bump { path, target_version }) => {
                let mut bundle = open(&path)?;
                bundle.bump(&target_version)?;
                save(&bundle)?;
                printer.info("successfully bumped version", &[("version", &target_version)]);
                Ok(())
            }
            BundleCommand::Remove(Remove { path, index }) => {
                let mut bundle = open(&path)?;
                let index = index.parse().map_err(|_| {
                    Failure::new(format!("invalid index {index:?}"))
                        .hint("give a number, counted from 0, as `dify bundle analyze` shows them")
                })?;
                bundle.remove(index)?;
                save(&bundle)?;
                printer.info("successfully removed dependency", &[]);
                Ok(())
            }
            BundleCommand::Package(Package { path, output }) => {
                let bundle = open(&path)?;
                let checked = bundle.validate().and_then(|()| bundle.check_assets(&LIMITS));
                checked.map_err(|error| not_packed(&path, error))?;
                for index in bundle.repeated() {
                    let hint = format!("dify bundle remove {} -i {index}", path.display());
                    printer.warn("a dependency is listed twice", &[("index", &index), ("remove", &hint)]);
                }
                let output = match output.or_else(|| output_named(&path, "difybndl")) {
                    Some(output) => output,
                    None => named_after(&bundle)?,
                };
                files::write(&output, &bundle.to_archive()?)?;
                printer.info("successfully packaged bundle", &[("output_path", &output.display())]);
                Ok(())
            }
        }
    }
}

fn open(path: &Path) -> Result<bundle::Bundle, Failure> {
    bundle::Bundle::open_path(path, &LIMITS).map_err(|error| {
        Failure::new(format!("failed to load bundle packager: {}", path.display())).because(error).hint(
            "name a folder with manifest.yaml and _assets, or a .difybndl file; `dify bundle init` makes a new one",
        )
    })
}

/// Why a bundle is not packed, with what to do about it.
fn not_packed(path: &Path, error: BundleError) -> Failure {
    let path = path.display();
    let hint = match &error {
        BundleError::AssetNotFound(asset) | BundleError::AssetNotPackage { path: asset, .. } => format!(
            "put the file back to _assets/{asset}; or take the dependency out with `dify bundle remove {path} -i INDEX` \
             and add the package again with `dify bundle append package {path} -p FILE`"
        ),
        _ => format!("correct manifest.yaml; `dify bundle analyze {path}` lists the dependencies"),
    };
    Failure::new("failed to package bundle").because(error).hint(hint)
}

/// `<name of the bundle>.difybndl` in the working folder, for paths such as `.` that name no file.
fn named_after(bundle: &bundle::Bundle) -> Result<PathBuf, Failure> {
    let name = &bundle.manifest().name;
    if is_name(name) {
        return Ok(PathBuf::from(format!("{name}.difybndl")));
    }
    Err(Failure::usage("invalid input path, you should specify the path outside of bundle directory")
        .hint("name the file to write: -o NAME.difybndl"))
}

fn save(bundle: &bundle::Bundle) -> Result<(), Failure> {
    files::undisturbed(|| bundle.save()).map_err(|error| Failure::new("failed to save the bundle").because(error))
}

impl Identity {
    /// Asks for what was not given; `present` is what the bundle has now.
    fn complete(self, present: [String; 3]) -> Result<[String; 3], Failure> {
        let given = [self.name, self.author, self.description];
        if given.iter().any(Option::is_none) {
            need_terminal("give --name, --author and --description")?;
        }
        let [name, author, description] = given;
        let [old_name, old_author, old_description] = present;
        let is_text = rule(|text| !text.is_empty(), "description cannot be empty");
        Ok([
            given_or_asked(name, "Name of the bundle:", &old_name, rule(is_name, NAME_RULE))?,
            given_or_asked(author, "Author:", &old_author, rule(is_author, AUTHOR_RULE))?,
            given_or_asked(description, "What it is, in a sentence:", &old_description, is_text)?,
        ])
    }
}

fn given_or_asked(
    given: Option<String>,
    question: &str,
    present: &str,
    check: impl Fn(&str) -> Result<(), String> + Clone + 'static,
) -> Result<String, Failure> {
    match given {
        Some(given) => check(&given).map(|()| given).map_err(Failure::usage),
        None => match interact::text(question, "ctrl+c leaves, and changes nothing", present, check)? {
            Answer::Given(text) => Ok(text),
            Answer::Back => Err(cancelled()),
        },
    }
}

impl Init {
    fn run(self, printer: Printer) -> Result<()> {
        let [name, author, description] = self.identity.complete(Default::default())?;
        let date = ZonedDateTime::now().strftime("%Y-%m-%d").to_string();
        let created = bundle::new_bundle(&name, &author, &description, &date)?;
        files::write_folder(Path::new(&name), created.iter().map(|(path, text)| (*path, text.as_str())))?;
        printer.info("bundle created successfully", &[("directory", &name)]);
        Ok(())
    }
}

fn append(what: &What, printer: Printer) -> Result<()> {
    let (path, kind) = match what {
        What::Github(AppendGithub { path, .. }) => (path, "github"),
        What::Marketplace(AppendMarketplace { path, .. }) => (path, "marketplace"),
        What::Package(AppendPackage { path, .. }) => (path, "package"),
    };
    let mut bundle = open(path)?;
    let is_new = match what {
        What::Github(AppendGithub { repo_pattern, .. }) => bundle.append_github(repo_pattern)?,
        What::Marketplace(AppendMarketplace { marketplace_pattern, .. }) => {
            bundle.append_marketplace(marketplace_pattern)?
        }
        What::Package(AppendPackage { package_path, .. }) => {
            let package = std::fs::read(package_path).map_err(|error| {
                Failure::new(format!("please provide a valid difypkg file: {}", package_path.display())).because(error)
            })?;
            bundle.append_package(package.into(), &LIMITS)?
        }
    };
    save(&bundle)?;
    if is_new {
        printer.info(&format!("successfully added {kind} dependency"), &[]);
    } else {
        printer.warn(&format!("the bundle has this {kind} dependency already; nothing was added"), &[]);
    }
    Ok(())
}
