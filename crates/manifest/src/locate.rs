//! From a field of a declaration to its place in a file.

use std::fmt;

use crate::declaration::Plugins;
use crate::yaml::{self, Kind, Mark, Node, Tree};
use crate::{Declaration, Files};

/// The file that every package has.
pub const MANIFEST: &str = "manifest.yaml";

/// A place in a plugin's files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The path in the package.
    pub file: String,
    /// Where in the file, when it is there and can be read.
    pub mark: Option<Mark>,
}

impl Place {
    /// A place in a file; a mark without a line counts as none.
    pub fn new(file: impl Into<String>, mark: Option<Mark>) -> Self {
        Self { file: file.into(), mark: mark.filter(|mark| mark.line > 0) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            Some(Mark { line, column }) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// A kind of provider.
#[derive(Debug)]
pub struct ProviderKind {
    /// Its key in a declaration.
    pub key: &'static str,
    /// The key of its files below `plugins`.
    pub list: &'static str,
    /// Its files in the manifest.
    pub files: fn(&Plugins) -> &Option<Vec<String>>,
    /// The key of its children.
    pub children: &'static str,
}

/// Every kind of provider.
pub const KINDS: [ProviderKind; 6] = [
    ProviderKind { key: "tool", list: "tools", files: |plugins| &plugins.tools, children: "tools" },
    ProviderKind { key: "endpoint", list: "endpoints", files: |plugins| &plugins.endpoints, children: "endpoints" },
    ProviderKind { key: "model", list: "models", files: |plugins| &plugins.models, children: "models" },
    ProviderKind {
        key: "agent_strategy",
        list: "agent_strategies",
        files: |plugins| &plugins.agent_strategies,
        children: "strategies",
    },
    ProviderKind {
        key: "datasource",
        list: "datasources",
        files: |plugins| &plugins.datasources,
        children: "datasources",
    },
    ProviderKind { key: "trigger", list: "triggers", files: |plugins| &plugins.triggers, children: "events" },
];

impl ProviderKind {
    /// The provider's file: of several, the last one counts.
    pub fn file<'d>(&self, declaration: &'d Declaration) -> Option<&'d String> {
        (self.files)(&declaration.plugins).as_ref()?.last()
    }
}

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// The YAML files of a plugin, read again to find the place of a field.
pub struct Documents<'f> {
    files: &'f dyn Files,
}

impl fmt::Debug for Documents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").finish_non_exhaustive()
    }
}

impl<'f> Documents<'f> {
    /// The documents among these files.
    pub fn new(files: &'f dyn Files) -> Self {
        Self { files }
    }

    /// Runs a function on the top node of a file; nothing comes of a file that cannot be read.
    pub fn with<T>(&self, file: &str, run: impl FnOnce(Node<'_>) -> T) -> Option<T> {
        let bytes = self.files.read(file).ok()?;
        let text = yaml::text(&bytes).ok()?;
        let tree: Tree<'_> = yaml::parse(&text).ok()?;
        tree.root().map(run)
    }

    /// The place of a field of a declaration, such as `tool.tools[0].identity.name`, or of the nearest thing around it,
    /// and the field as that file has it.
    pub fn find(&self, declaration: &Declaration, path: &str) -> (Place, String) {
        let (file, steps) = self.locate(declaration, path);
        (self.place(&file, &steps), shown(&steps))
    }

    /// A key that stands beside a missing field and is likely meant to be it.
    pub fn misspelt(&self, declaration: &Declaration, path: &str) -> Option<String> {
        let (file, steps) = self.locate(declaration, path);
        self.similar(&file, &steps)
    }

    /// The same for a field as its file has it.
    pub fn misspelt_in(&self, file: &str, field: &str) -> Option<String> {
        self.similar(file, &steps(field))
    }

    fn similar(&self, file: &str, steps: &[Step<'_>]) -> Option<String> {
        let (Step::Key(wanted), around) = steps.split_last()? else { return None };
        let keys = self.with(file, |root| {
            let around = around.iter().try_fold(root, |node, step| Some(step_into(node, step)?.1));
            let pairs = around.into_iter().filter(|node| matches!(node.kind(), Kind::Mapping)).flat_map(Node::pairs);
            pairs.filter_map(|(key, _)| Some(key.scalar()?.text.clone().into_owned())).collect::<Vec<_>>()
        })?;
        let distance = |key: &String| strsim::osa_distance(key, wanted);
        keys.into_iter().filter(|key| (1..=2).contains(&distance(key))).min_by_key(distance)
    }

    /// The file that a field is in, and the way to it there.
    fn locate<'p>(&self, declaration: &Declaration, path: &'p str) -> (String, Vec<Step<'p>>) {
        let steps = steps(path);
        let found = match &*steps {
            [Step::Key(first), ..] => KINDS.iter().find(|kind| kind.key == *first),
            _ => None,
        };
        let Some((kind, provider)) = found.and_then(|kind| Some((kind, kind.file(declaration)?))) else {
            return (MANIFEST.to_owned(), steps);
        };
        let rest = steps.get(1..).unwrap_or_default();
        if let [Step::Key(key), Step::Index(index), inner @ ..] = rest
            && *key == kind.children
            && let Some(child) = self.child(declaration, kind, provider, *index)
        {
            return (child, inner.to_vec());
        }
        (provider.clone(), rest.to_vec())
    }

    /// The file of a provider's child, if it has one of its own.
    fn child(&self, declaration: &Declaration, kind: &ProviderKind, provider: &str, index: usize) -> Option<String> {
        if kind.key == "model" {
            let model = declaration.model.as_ref()?.models.get(index)?;
            return self.model_file(&model.model, &model.model_type);
        }
        let (inline, named) = self.children(provider, kind.children);
        named.get(index.checked_sub(inline)?).cloned()
    }

    /// How many children of a provider are written in its file, and the files of the others.
    pub fn children(&self, provider: &str, key: &str) -> (usize, Vec<String>) {
        let list = |root: Node<'_>| {
            let Some((_, list)) = pair(root, key) else { return (0, Vec::new()) };
            let items: Vec<_> = list.children().collect();
            let inline = items.iter().filter(|item| matches!(item.kind(), Kind::Mapping)).count();
            let named = items.iter().filter_map(|item| Some(item.scalar()?.text.clone().into_owned())).collect();
            (inline, named)
        };
        self.with(provider, list).unwrap_or_default()
    }

    fn model_file(&self, model: &str, model_type: &str) -> Option<String> {
        let is = |root: Node<'_>, key: &str, expected: &str| {
            pair(root, key).and_then(|(_, value)| value.scalar()).is_some_and(|scalar| scalar.text == expected)
        };
        let files = self.files.walk().ok()?;
        let is_yaml = |file: &String| matches!(file.rsplit_once('.'), Some((_, "yaml" | "yml")));
        files.into_iter().filter(is_yaml).find(|file| {
            self.with(file, |root| is(root, "model", model) && is(root, "model_type", model_type)).unwrap_or(false)
        })
    }

    fn place(&self, file: &str, steps: &[Step<'_>]) -> Place {
        Place::new(file, self.with(file, |root| descend(root, steps)))
    }

    /// The files that the manifest names, and those that these name, whether they are there or not.
    pub fn named_files(&self) -> Vec<String> {
        let (mut files, mut children) = (Vec::new(), Vec::new());
        for kind in &KINDS {
            let list = |root: Node<'_>| {
                let (_, list) = pair(pair(root, "plugins")?.1, kind.list)?;
                Some(list.children().filter_map(|item| Some(item.scalar()?.text.clone().into_owned())).collect())
            };
            let providers: Vec<String> = self.with(MANIFEST, list).flatten().unwrap_or_default();
            for provider in &providers {
                children.extend(self.children(provider, kind.children).1);
            }
            files.extend(providers);
        }
        files.extend(children);
        files
    }

    /// Where the manifest, or one of the files that it names, names a file.
    pub fn naming(&self, file: &str) -> Option<Place> {
        let files = std::iter::once(MANIFEST.to_owned()).chain(self.named_files());
        let named = |by: &str| self.with(by, |root| mention(root, file)).flatten();
        files.into_iter().find_map(|by| Some(Place::new(&*by, Some(named(&by)?))))
    }
}

/// The value of a key, and the key itself.
pub fn pair<'t>(node: Node<'t>, key: &str) -> Option<(Node<'t>, Node<'t>)> {
    let mapping = node.resolve().filter(|node| matches!(node.kind(), Kind::Mapping))?;
    let (key, value) = mapping.pairs().find(|(found, _)| found.scalar().is_some_and(|scalar| scalar.text == key))?;
    Some((key, value.resolve()?))
}

/// The value at the end of a path of keys.
///
/// ```
/// use plugin_manifest::{locate, yaml};
///
/// let tree = yaml::parse("meta:\n  runner:\n    version: \"3.12\"\n").unwrap();
/// let version = tree.root().and_then(|root| locate::at(root, &["meta", "runner", "version"])).unwrap();
/// assert_eq!(version.mark().to_string(), "line 3, column 14");
/// ```
pub fn at<'t>(node: Node<'t>, path: &[&str]) -> Option<Node<'t>> {
    path.iter().try_fold(node, |node, key| Some(pair(node, key)?.1))
}

/// The place that the steps lead to, as far as they lead.
fn descend(root: Node<'_>, steps: &[Step<'_>]) -> Mark {
    let (mut node, mut mark) = (root, root.mark());
    for step in steps {
        let Some((key, value)) = step_into(node, step) else { break };
        (node, mark) = (value, key.mark());
    }
    mark
}

/// What a step leads to, and where that begins.
fn step_into<'t>(node: Node<'t>, step: &Step<'_>) -> Option<(Node<'t>, Node<'t>)> {
    /// Keys of which a file may have the second in place of the first.
    const ALIASES: [(&str, &str); 1] = [("credentials_schema", "credentials_for_provider")];
    let (key, value) = match step {
        Step::Key(key) => pair(node, key).or_else(|| {
            let (_, alias) = ALIASES.iter().find(|(name, _)| name == key)?;
            pair(node, alias)
        })?,
        // a list, or a mapping that stands for one
        Step::Index(index) => match node.kind() {
            Kind::Mapping => node.pairs().nth(*index)?,
            _ => node.children().nth(*index).map(|item| (item, item))?,
        },
    };
    Some((key, value.resolve()?))
}

/// The sources that the `extra.python` of a declaration names, with their places.
pub fn sources_of<'t>(root: Node<'t>) -> impl Iterator<Item = (&'t str, Mark)> {
    let python = at(root, &["extra", "python"]);
    let single = ["source", "provider_source"].into_iter().filter_map(move |key| Some(pair(python?, key)?.1));
    let list =
        python.and_then(|python| pair(python, "model_sources")).into_iter().flat_map(|(_, list)| list.children());
    let named = |node: Node<'t>| Some((&*node.scalar()?.text, node.mark()));
    single.chain(list).filter_map(named).filter(|(path, _)| !path.is_empty())
}

fn mention(node: Node<'_>, text: &str) -> Option<Mark> {
    if let Some(scalar) = node.scalar() {
        return (scalar.text == text).then(|| node.mark());
    }
    node.children().find_map(|child| mention(child, text))
}

/// Splits `tools[0].identity.name`.
fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let mut pieces = part.split('[');
        if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
            steps.push(Step::Key(key));
        }
        steps.extend(pieces.filter_map(|index| index.strip_suffix(']')?.parse().ok()).map(Step::Index));
    }
    steps
}

fn shown(steps: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}
