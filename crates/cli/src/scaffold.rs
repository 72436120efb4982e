//! New plugins: from a few answers to a folder that can be packed, installed and called at once (cli 3).

mod category;
mod names;
mod permissions;
mod templates;

use std::collections::BTreeMap;

use jiff::ZonedDateTime;
use minijinja::{Value, context};
use plugin_manifest::yaml::scalar;

pub(crate) use self::category::Category;
pub(crate) use self::names::{AUTHOR_RULE, NAME_RULE, is_author, is_name};
pub(crate) use self::permissions::{DEFAULT_STORAGE, Permissions, STORAGE};

/// The version of a new plugin.
const VERSION: &str = "0.0.1";
/// What a new plugin needs. The range is the one that generated projects are tested with.
const SDK: &str = "dify_plugin>=0.9.0,<0.11.0";

/// A language that a README can be written in, beside English.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    #[value(name = "zh_Hans")]
    Chinese,
    #[value(name = "ja_JP")]
    Japanese,
    #[value(name = "pt_BR")]
    Portuguese,
}

impl Language {
    /// As in the names of files.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Chinese => "zh_Hans",
            Self::Japanese => "ja_JP",
            Self::Portuguese => "pt_BR",
        }
    }
}

/// What has to be known of a plugin to write it.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) author: String,
    pub(crate) description: String,
    pub(crate) repository: Option<String>,
    pub(crate) category: Category,
    pub(crate) minimum_dify_version: Option<String>,
    pub(crate) permissions: Permissions,
    pub(crate) languages: Vec<Language>,
}

/// The files of a plugin by their paths.
pub(crate) type FileSet = BTreeMap<String, String>;

impl Project {
    /// Every file of the plugin.
    pub(crate) fn files(&self) -> Result<FileSet, minijinja::Error> {
        let mut files = self.common_files()?;
        files.extend(self.module_files(self.category)?);
        Ok(files)
    }

    /// The provider of a category with its children: what makes the plugin one of that kind.
    pub(crate) fn module_files(&self, category: Category) -> Result<FileSet, minijinja::Error> {
        let context = self.context(category);
        let name = &self.name;
        let paths: Vec<(&str, String)> = match category {
            Category::Tool => vec![
                ("tool/tool.py", format!("tools/{name}.py")),
                ("tool/tool.yaml", format!("tools/{name}.yaml")),
                ("tool/provider.py", format!("provider/{name}.py")),
                ("tool/provider.yaml", format!("provider/{name}.yaml")),
            ],
            Category::Extension => vec![
                ("extension/group.yaml", format!("group/{name}.yaml")),
                ("extension/endpoint.yaml", format!("endpoints/{name}.yaml")),
                ("extension/endpoint.py", format!("endpoints/{name}.py")),
            ],
            Category::AgentStrategy => vec![
                ("agent/provider.yaml", format!("provider/{name}.yaml")),
                ("agent/strategy.yaml", format!("strategies/{name}.yaml")),
                ("agent/strategy.py", format!("strategies/{name}.py")),
            ],
            Category::Datasource => vec![
                ("datasource/provider.py", format!("provider/{name}.py")),
                ("datasource/provider.yaml", format!("provider/{name}.yaml")),
                ("datasource/datasource.py", format!("datasources/{name}.py")),
                ("datasource/datasource.yaml", format!("datasources/{name}.yaml")),
            ],
            Category::Trigger => vec![
                ("trigger/provider.py", format!("provider/{name}.py")),
                ("trigger/provider.yaml", format!("provider/{name}.yaml")),
                ("trigger/event.py", format!("events/{name}_event.py")),
                ("trigger/event.yaml", format!("events/{name}_event.yaml")),
            ],
            Category::Llm
            | Category::TextEmbedding
            | Category::Rerank
            | Category::Tts
            | Category::Speech2Text
            | Category::Moderation => vec![
                ("model/provider.py", format!("provider/{name}.py")),
                ("model/provider.yaml", format!("provider/{name}.yaml")),
            ],
        };
        let mut files = FileSet::new();
        for (template, path) in paths {
            files.insert(path, templates::render(template, &context)?);
        }
        if let Some(folder) = category.model_folder() {
            for extension in ["py", "yaml"] {
                let text = templates::render(&format!("model/{folder}.{extension}"), &context)?;
                files.insert(format!("models/{folder}/{folder}.{extension}"), text);
            }
            for size in ["s", "l"] {
                files.insert(format!("_assets/icon_{size}_en.svg"), icon(&context, false)?);
            }
        }
        Ok(files)
    }

    fn common_files(&self) -> Result<FileSet, minijinja::Error> {
        const RENDERED: [(&str, &str); 10] = [
            ("project/manifest.yaml", "manifest.yaml"),
            ("readme/en_US.md", "README.md"),
            ("project/env.example", ".env.example"),
            ("project/PRIVACY.md", "PRIVACY.md"),
            ("project/plugin-publish.yml", ".github/workflows/plugin-publish.yml"),
            ("project/GUIDE.md", "GUIDE.md"),
            ("project/main.py", "main.py"),
            ("project/requirements.txt", "requirements.txt"),
            ("project/pyproject.toml", "pyproject.toml"),
            ("project/difyignore", ".difyignore"),
        ];
        let context = self.context(self.category);
        let mut files = FileSet::new();
        for (template, path) in RENDERED {
            files.insert(path.to_owned(), templates::render(template, &context)?);
        }
        files.insert(".gitignore".to_owned(), templates::render("project/gitignore", &context)?);
        files.insert("_assets/icon.svg".to_owned(), icon(&context, false)?);
        files.insert("_assets/icon-dark.svg".to_owned(), icon(&context, true)?);
        for language in &self.languages {
            let code = language.code();
            let text = templates::render(&format!("readme/{code}.md"), &context)?;
            files.insert(format!("readme/README_{code}.md"), text);
        }
        Ok(files)
    }

    fn context(&self, category: Category) -> Value {
        let kind = category.kind();
        context! {
            name => &*self.name,
            author => &*self.author,
            description => &*self.description,
            repo => self.repository.as_deref(),
            category => category.as_str(),
            version => VERSION,
            sdk => SDK,
            class => names::class_name(&self.name),
            project_name => names::project_name(&self.name),
            minimum_dify_version => self.minimum_dify_version.as_deref(),
            created_at => ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S.%N%:z").to_string(),
            permission => permission_block(&self.permissions),
            kind => context! { key => kind.key, folder => kind.folder, word => kind.word, drawing => kind.drawing },
            model => context! { type => category.as_str(), folder => category.model_folder() },
        }
    }
}

/// The placeholder icon of a kind of plugin.
fn icon(context: &Value, dark: bool) -> Result<String, minijinja::Error> {
    let (background, stroke) = if dark { ("#1D2939", "#98A2B3") } else { ("#F2F4F7", "#475467") };
    let colors = context! { background, stroke };
    templates::render("project/icon.svg", &context! { ..colors, ..context.clone() })
}

/// `resource.permission` of the manifest, indented.
fn permission_block(permissions: &Permissions) -> String {
    let groups = permissions.groups();
    if groups.is_empty() {
        return "  permission: {}\n".to_owned();
    }
    let mut block = "  permission:\n".to_owned();
    for (group, fields) in groups {
        block.extend(["    ", group, ":\n"]);
        for (field, value) in fields {
            let value = value.as_str().map_or_else(|| value.to_string(), scalar);
            block.extend(["      ", field, ": ", &value, "\n"]);
        }
    }
    block
}

#[cfg(test)]
mod tests;
