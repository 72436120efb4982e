//! `dify plugin init` (cli 3)

mod dialog;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::files;
use crate::printer::Printer;
use crate::scaffold::{
    AUTHOR_RULE, Category, DEFAULT_STORAGE, Language, NAME_RULE, Permissions, Project, STORAGE, is_author, is_name,
};
use crate::version::Version;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --quick, prompts for what the flags do not give. The new folder is named after the plugin; an existing folder is
not touched.

Examples:
  dify plugin init
  dify plugin init --quick --name demo --author acme --description 'A demo' --category tool
  dify plugin init --quick --name notes --author acme --description 'Keeps notes' --allow-storage --storage-size 1048576")]
pub(crate) struct Arguments {
    /// Name of the plugin, and of the new folder: lower-case letters, digits, - and _
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Author: lower-case letters, digits, - and _
    #[arg(long, default_value = "", hide_default_value = true)]
    author: String,
    /// Description, in a sentence
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// URL of the repository
    #[arg(long, default_value = "", hide_default_value = true, value_name = "URL")]
    repo: String,
    /// Category [default: tool]
    #[arg(long, value_parser = optional::<Category>, default_value = "", hide_default_value = true)]
    #[arg(help = format!("Category: {} [default: tool]", names(&Category::ALL)))]
    category: Optional<Category>,
    /// Programming language: python
    #[arg(long, value_parser = optional::<Runner>, default_value = "", hide_default_value = true)]
    language: Optional<Runner>,
    /// Oldest version of Dify that can run it, such as 1.4.0
    #[arg(long, default_value = "", hide_default_value = true, value_name = "VERSION")]
    min_dify_version: String,
    /// Languages of further READMEs
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LANGUAGE")]
    readme: Vec<Language>,
    #[command(flatten)]
    permissions: PermissionFlags,
    /// Do not prompt; take everything from the flags
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    #[arg(hide_default_value = true, hide_possible_values = true, value_name = "BOOL")]
    quick: bool,
    /// Folder in which the new folder is made [default: the working folder]
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

macro_rules! permission_flags {
    ($($flag:ident $help:literal;)*) => {
        #[derive(Debug, Args)]
        #[command(next_help_heading = "Permissions")]
        struct PermissionFlags {
            $(
                #[arg(long, help = $help, num_args = 0..=1, require_equals = true)]
                #[arg(default_value_t = false, default_missing_value = "true", hide_default_value = true)]
                #[arg(hide_possible_values = true, value_name = "BOOL")]
                $flag: bool,
            )*
            /// Bytes that it may store, from 1024 to 1073741824; only with --allow-storage
            #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "BYTES")]
            storage_size: u64,
        }
    };
}

permission_flags! {
    allow_endpoint "Allow it to register endpoints";
    allow_tool "Allow it to call tools";
    allow_model "Allow it to call models, of the kinds below";
    allow_llm "Language models; only with --allow-model";
    allow_text_embedding "Text embedding; only with --allow-model";
    allow_rerank "Reranking; only with --allow-model";
    allow_tts "Text to speech; only with --allow-model";
    allow_speech2text "Speech to text; only with --allow-model";
    allow_moderation "Moderation; only with --allow-model";
    allow_node "Allow it to call workflow nodes";
    allow_app "Allow it to call apps";
    allow_storage "Allow it to store data between calls";
}

impl PermissionFlags {
    fn permissions(&self) -> Result<Permissions, Failure> {
        let storage = match (self.allow_storage, self.storage_size) {
            (false, _) => None,
            (true, 0) => Some(DEFAULT_STORAGE),
            (true, size) if STORAGE.contains(&size) => Some(size),
            (true, size) => {
                let (least, most) = (STORAGE.start(), STORAGE.end());
                return Err(Failure::usage(format!(
                    "--storage-size is {size}: {least} to {most} bytes can be asked for"
                )));
            }
        };
        let model = self.allow_model;
        Ok(Permissions {
            tool: self.allow_tool,
            model,
            llm: model && self.allow_llm,
            text_embedding: model && self.allow_text_embedding,
            rerank: model && self.allow_rerank,
            tts: model && self.allow_tts,
            speech2text: model && self.allow_speech2text,
            moderation: model && self.allow_moderation,
            node: self.allow_node,
            app: self.allow_app,
            storage,
            endpoint: self.allow_endpoint,
        })
    }
}

/// Programming languages of plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Runner {
    Python,
}

/// A value that may be left empty.
#[derive(Clone, Copy, Debug)]
struct Optional<T>(Option<T>);

fn optional<T: ValueEnum>(text: &str) -> Result<Optional<T>, String> {
    if text.is_empty() {
        return Ok(Optional(None));
    }
    T::from_str(text, false)
        .map(|value| Optional(Some(value)))
        .map_err(|_| format!("it is none of {}", names(T::value_variants())))
}

fn names<T: ValueEnum>(values: &[T]) -> String {
    let names = values.iter().filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()));
    names.collect::<Vec<_>>().join(", ")
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let given = self.project()?;
        // complete flags need no terminal
        let is_whole = checked(&given).is_ok();
        let project = if self.quick || (is_whole && !dialog::is_possible()) {
            checked(&given)?;
            given
        } else {
            dialog::ask(printer, given)?
        };
        let target = match &self.directory {
            Some(directory) => directory.join(&project.name),
            None => PathBuf::from(&project.name),
        };
        let created = project.files()?;
        files::write_folder(&target, created.iter().map(|(path, text)| (path.as_str(), text.as_str())))?;
        let guide = target.join("GUIDE.md");
        printer.info("plugin created successfully", &[("name", &project.name), ("guide", &guide.display())]);
        printer.note(format_args!(
            "Next: dify plugin invoke {0}   (or read {1}; before you publish: dify plugin check --marketplace {0})",
            target.display(),
            guide.display()
        ));
        Ok(())
    }

    /// The project described by the flags; missing texts are empty.
    fn project(&self) -> Result<Project, Failure> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        if let Some(version) = text(&self.min_dify_version) {
            version.parse::<Version>().map_err(|error| Failure::usage(format!("--min-dify-version: {error}")))?;
        }
        let category = self.category.0.unwrap_or(Category::Tool);
        let mut permissions = self.permissions.permissions()?;
        permissions.add_those_of(category);
        Ok(Project {
            name: self.name.clone(),
            author: self.author.clone(),
            description: self.description.clone(),
            repository: text(&self.repo),
            category,
            minimum_dify_version: text(&self.min_dify_version),
            permissions,
            languages: self.readme.clone(),
        })
    }
}

/// Checks that a project can be made of this.
fn checked(project: &Project) -> Result<(), Failure> {
    let hint = "give --name, --author and --description, or leave out --quick to be asked";
    if !is_name(&project.name) {
        return Err(Failure::usage(NAME_RULE).hint(hint));
    }
    if !is_author(&project.author) {
        return Err(Failure::usage(AUTHOR_RULE).hint(hint));
    }
    if project.description.trim().is_empty() {
        return Err(Failure::usage("description cannot be empty").hint(hint));
    }
    if let Some(repository) = project.repository.as_deref().filter(|repository| !is_url(repository)) {
        return Err(Failure::usage(format!("--repo is {repository}, which is no address"))
            .hint("write the whole address, with https://"));
    }
    Ok(())
}

fn is_url(text: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| {
        text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    })
}
