//! From a package's files to its declaration (package-format 3).

use std::fmt;

use crate::{
    Declaration, FileError, Files,
    declaration::{AgentStrategyProvider, DatasourceProvider, EndpointProvider, ToolProvider, TriggerProvider},
    locate::MANIFEST,
    yaml::{self, Kind, Limits, Mark, Node, Read, Reader, Tree},
};

mod models;
mod notice;
#[cfg(test)]
mod tests;

pub use notice::Notice;

/// Decodes a package: the manifest, the provider files it names, their children and models, and the defaults.
///
/// Shape is all that is checked; see [`Declaration::validate`] and [`crate::rules`] for the rest. With several providers of
/// one kind the last one counts. `verified` is false: signatures are the caller's business.
///
/// # Errors
///
/// Any file that is missing or does not have the shape of a declaration, with the file and the place in it.
pub fn decode(files: &dyn Files) -> Result<Declaration, DecodeError> {
    Decoder::new(files, None).package()
}

/// Decodes a package like [`decode`], and also reports what in its files will not do what its author means.
pub fn decode_with_notices(files: &dyn Files) -> Result<(Declaration, Vec<Notice>), DecodeError> {
    let mut notices = Vec::new();
    let declaration = Decoder::new(files, Some(&mut notices)).package()?;
    Ok((declaration, notices))
}

/// Text and nodes that one package may have in all the files that are decoded, far beyond any real plugin: what a
/// declaration costs in memory is bounded, however often a file is named.
const MOST_BYTES: usize = 48 << 20;
const MOST_NODES: usize = 400_000;
/// Bounds on one file.
const FILE_LIMITS: Limits = Limits { bytes: 8 << 20, depth: 100, nodes: 200_000, repeated: 1 << 20 };
/// What a file costs beside its text, so that empty files are not free.
const FILE_COST: usize = 1024;

struct Decoder<'f> {
    files: &'f dyn Files,
    /// What may still be read.
    bytes: usize,
    nodes: usize,
    notices: Option<&'f mut Vec<Notice>>,
}

/// A provider and the files of its children.
struct Loaded<T> {
    value: T,
    children: Vec<String>,
}

impl<'f> Decoder<'f> {
    fn new(files: &'f dyn Files, notices: Option<&'f mut Vec<Notice>>) -> Self {
        Self { files, bytes: MOST_BYTES, nodes: MOST_NODES, notices }
    }

    fn package(mut self) -> Result<Declaration, DecodeError> {
        let mut declaration: Declaration = self.file(MANIFEST, None, None, read_root)?;
        for path in self.paths("tools", declaration.plugins.tools.as_ref()) {
            let mut provider: Loaded<ToolProvider> = self.provider("tool", &path, "tools")?;
            provider.value.tools.extend(self.children("tool", provider.children)?);
            declaration.tool = Some(provider.value);
        }
        for path in self.paths("endpoints", declaration.plugins.endpoints.as_ref()) {
            let mut provider: Loaded<EndpointProvider> = self.provider("endpoint", &path, "endpoints")?;
            provider.value.endpoints.extend(self.children("endpoint", provider.children)?);
            declaration.endpoint = Some(provider.value);
        }
        for path in self.paths("models", declaration.plugins.models.as_ref()) {
            declaration.model = Some(models::provider(&mut self, &path)?);
        }
        for path in self.paths("agent_strategies", declaration.plugins.agent_strategies.as_ref()) {
            let mut provider: Loaded<AgentStrategyProvider> = self.provider("agent strategy", &path, "strategies")?;
            provider.value.strategies.extend(self.children("agent strategy", provider.children)?);
            declaration.agent_strategy = Some(provider.value);
        }
        for path in self.paths("datasources", declaration.plugins.datasources.as_ref()) {
            let mut provider: Loaded<DatasourceProvider> = self.provider("datasource", &path, "datasources")?;
            provider.value.datasources.extend(self.children("datasource", provider.children)?);
            declaration.datasource = Some(provider.value);
        }
        for path in self.paths("triggers", declaration.plugins.triggers.as_ref()) {
            let mut provider: Loaded<TriggerProvider> = self.provider("trigger", &path, "events")?;
            provider.value.events.extend(self.children("event", provider.children)?);
            declaration.trigger = Some(provider.value);
        }
        declaration.verified = false;
        declaration.fill_defaults();
        Ok(declaration)
    }

    /// The provider files of one kind.
    fn paths(&mut self, kind: &str, paths: Option<&Vec<String>>) -> Vec<String> {
        let paths = paths.cloned().unwrap_or_default();
        if let [_, .., last] = &*paths {
            self.notice(MANIFEST, None, "several_providers", || {
                format!("`plugins.{kind}` names {} providers; only the last one, {last}, counts", paths.len())
            });
        }
        paths
    }

    /// Reports something, when notices are collected.
    fn notice(&mut self, file: &str, mark: Option<Mark>, code: &'static str, message: impl FnOnce() -> String) {
        if let Some(notices) = &mut self.notices {
            notices.push(Notice { file: file.to_owned(), mark, code, message: message(), is_fatal: false });
        }
    }

    /// Reads a provider file and the paths of its children, those items of the list under `key` that are plain text.
    fn provider<T: Read>(&mut self, kind: &str, path: &str, key: &'static str) -> Result<Loaded<T>, DecodeError> {
        let reading = format!("failed to read {kind} file: {path}");
        let decoding = format!("failed to unmarshal plugin file: {path}");
        let (loaded, ignored) = self.file(path, Some(reading), Some(decoding), |tree| {
            let (children, ignored) = child_paths(tree, key)?;
            Ok((Loaded { value: read_root(tree)?, children }, ignored))
        })?;
        for mark in ignored {
            self.notice(path, Some(mark), "ignored_child", || {
                format!("this item of `{key}` is neither a path nor a mapping, and is ignored")
            });
        }
        Ok(loaded)
    }

    fn children<T: Read>(&mut self, kind: &str, paths: Vec<String>) -> Result<Vec<T>, DecodeError> {
        let mut children = Vec::new();
        for path in paths {
            let reading = format!("failed to read {kind} file: {path}");
            let decoding = format!("failed to unmarshal {kind} file: {path}");
            children.push(self.file(&path, Some(reading), Some(decoding), read_root)?);
        }
        Ok(children)
    }

    /// Reads and parses one file; the contexts are what a failure to read and to decode it is called.
    fn file<T>(
        &mut self,
        path: &str,
        reading: Option<String>,
        decoding: Option<String>,
        decode: impl FnOnce(&Tree<'_>) -> Result<T, yaml::Error>,
    ) -> Result<T, DecodeError> {
        let error = |cause: Cause, context| DecodeError { file: path.to_owned(), cause, context };
        if !is_clean(path) {
            return Err(error(Cause::Path { path: path.to_owned() }, reading));
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(cause) if path == MANIFEST && cause.is_not_found() => {
                let hint = nested_manifest(self.files)
                    .map(|folder| format!("{MANIFEST} is in {folder}/: pack what that folder holds, not the folder"));
                return Err(error(cause.into(), hint));
            }
            Err(cause) => return Err(error(cause.into(), reading)),
        };
        let Some(rest) = self.bytes.checked_sub(FILE_COST + bytes.len()) else {
            return Err(error(Cause::TooMuch { what: "bytes of YAML", most: MOST_BYTES }, reading));
        };
        self.bytes = rest;
        let notices = &mut self.notices;
        if let Some(notices) = notices {
            notice::encoding(path, &bytes, notices);
        }
        let decoded = yaml::text(&bytes).and_then(|text| {
            let tree = yaml::parse_with(&text, FILE_LIMITS)?;
            if let Some(notices) = notices {
                notice::dialect(path, &tree, notices);
                notice::sources(path, &tree, notices);
            }
            Ok((tree.len(), decode(&tree)?))
        });
        let (nodes, value) = match decoded {
            Ok(decoded) => decoded,
            Err(cause) => return Err(error(cause.into(), decoding)),
        };
        let Some(rest) = self.nodes.checked_sub(nodes) else {
            return Err(error(Cause::TooMuch { what: "YAML nodes", most: MOST_NODES }, decoding));
        };
        self.nodes = rest;
        Ok(value)
    }
}

/// The folder that holds the manifest, when the package has it one level too deep.
pub fn nested_manifest(files: &dyn Files) -> Option<String> {
    files.walk().ok()?.into_iter().find_map(|path| {
        let (folder, name) = path.split_once('/')?;
        (name == MANIFEST).then(|| folder.to_owned())
    })
}

/// Whether a path can name a file of an archive: relative, with forward slashes, without empty, `.` and `..` parts.
fn is_clean(path: &str) -> bool {
    !path.contains('\\') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn read_root<T: Read>(tree: &Tree<'_>) -> Result<T, yaml::Error> {
    yaml::read_tree(tree)
}

/// The items of a provider's list that are text, paths of files in the order of the list, and the places of those that
/// are neither text nor mappings.
fn child_paths(tree: &Tree<'_>, key: &str) -> Result<(Vec<String>, Vec<Mark>), yaml::Error> {
    let mut reader = Reader::new(tree);
    let list = tree.root().filter(|root| matches!(root.kind(), Kind::Mapping)).and_then(|root| {
        let mapping = reader.mapping(root)?;
        mapping.get(key).filter(|node| matches!(node.kind(), Kind::Sequence))
    });
    reader.finish()?;
    let (mut paths, mut ignored) = (Vec::new(), Vec::new());
    for item in list.into_iter().flat_map(Node::children) {
        match item.kind() {
            Kind::Scalar(scalar) => paths.push(scalar.text.clone().into_owned()),
            Kind::Mapping => {}
            Kind::Sequence | Kind::Alias => ignored.push(item.mark()),
        }
    }
    Ok((paths, ignored))
}

/// Why a package has no declaration.
///
/// Displays as the reference words it, the cause and then a line that says what was being done; a last line gives the
/// place: `at tools/search.yaml:3:7`.
#[derive(Debug)]
pub struct DecodeError {
    file: String,
    cause: Cause,
    context: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    #[error(
        "open {path}: invalid argument: write paths relative to the plugin's folder, with forward slashes, such as provider/search.yaml"
    )]
    Path { path: String },
    #[error("syntax error in pattern `{pattern}`")]
    Pattern { pattern: String },
    #[error("the package has more than {most} {what}")]
    TooMuch { what: &'static str, most: usize },
}

impl DecodeError {
    /// The file that is missing or wrong, as a path in the package.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The place in the file, where one is known.
    pub fn mark(&self) -> Option<Mark> {
        match &self.cause {
            Cause::Yaml(error) => error.mark(),
            Cause::File(_) | Cause::Path { .. } | Cause::Pattern { .. } | Cause::TooMuch { .. } => None,
        }
    }

    /// Each thing that is wrong in the file with its place, where that is known: a syntax error, or all typing errors.
    pub fn problems(&self) -> &[yaml::Problem] {
        match &self.cause {
            Cause::Yaml(error) => error.problems(),
            Cause::File(_) | Cause::Path { .. } | Cause::Pattern { .. } | Cause::TooMuch { .. } => &[],
        }
    }

    /// A stable word for the kind of failure, for machines.
    pub fn code(&self) -> &'static str {
        match &self.cause {
            Cause::File(error) if error.is_not_found() => "file_missing",
            Cause::File(_) => "file_unreadable",
            Cause::Yaml(error) => match error.kind() {
                yaml::ErrorKind::Encoding => "yaml_encoding",
                yaml::ErrorKind::Syntax => "yaml_syntax",
                yaml::ErrorKind::Limit => "yaml_limit",
                yaml::ErrorKind::Typing => "yaml_type",
                yaml::ErrorKind::Value => "yaml_value",
            },
            Cause::Path { .. } => "bad_path",
            Cause::Pattern { .. } => "bad_pattern",
            Cause::TooMuch { .. } => "too_large",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if let Some(context) = &self.context {
            write!(f, "\n{context}")?;
        }
        match self.mark() {
            Some(Mark { line, column }) => write!(f, "\nat {}:{line}:{column}", self.file),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
