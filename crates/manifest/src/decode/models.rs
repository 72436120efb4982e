//! Model providers: position files and the models that patterns find (package-format 8.2).

use super::{Cause, DecodeError, Decoder, read_root};
use crate::{
    declaration::{Model, ModelPosition, ModelProvider},
    glob::Pattern,
    yaml::{self, Kind, Node, Reader, Tree},
};

/// The keys of a provider's `models` that have positions, and what their position file is called in errors.
const TYPES: [(&str, &str); 6] = [
    ("llm", "llm"),
    ("text_embedding", "text embedding"),
    ("rerank", "rerank"),
    ("tts", "tts"),
    ("speech2text", "speech2text"),
    ("moderation", "moderation"),
];

/// Patterns that one provider may have, and how long each may be.
const MOST_PATTERNS: usize = 200;
const LONGEST_PATTERN: usize = 256;

/// What `models` says of files.
#[derive(Debug, Default)]
struct ModelFiles {
    /// The index in [`TYPES`] and the file.
    positions: Vec<(usize, String)>,
    patterns: Vec<String>,
}

pub(super) fn provider(decoder: &mut Decoder<'_>, path: &str) -> Result<ModelProvider, DecodeError> {
    let reading = format!("failed to read model file: {path}");
    let decoding = format!("failed to unmarshal plugin file: {path}");
    let (mut provider, files) = decoder.file(path, Some(reading), Some(decoding), |tree| {
        let provider: ModelProvider = read_root(tree)?;
        Ok((provider, model_files(tree)?))
    })?;
    for (kind, file) in files.positions {
        let names = position_file(decoder, kind, &file)?;
        let position = provider.position.get_or_insert_default();
        *position_of(position, kind) = Some(names);
    }
    if !files.patterns.is_empty() {
        provider.models.extend(matching(decoder, path, &files.patterns)?);
    }
    notice_positions(decoder, path, &mut provider);
    Ok(provider)
}

fn model_files(tree: &Tree<'_>) -> Result<ModelFiles, yaml::Error> {
    let mut files = ModelFiles::default();
    let mut reader = Reader::new(tree);
    let models = tree.root().filter(|root| matches!(root.kind(), Kind::Mapping)).and_then(|root| {
        let mapping = reader.mapping(root)?;
        mapping.get("models").filter(|node| matches!(node.kind(), Kind::Mapping))
    });
    if let Some(models) = models.and_then(|node| reader.mapping(node)) {
        reader.at_key("models".into(), |reader| {
            for pair in models.pairs() {
                reader.at_key(pair.key.clone(), |reader| {
                    reader.nested(pair.value, |node, reader| one_type(&pair.key, node, reader, &mut files));
                });
            }
        });
    }
    reader.finish()?;
    Ok(files)
}

/// Reads what stands under one key of `models`. Keys without positions (multimodal models, say) have patterns too; they
/// may hold anything else as well.
fn one_type<'t>(key: &str, node: Node<'t>, reader: &mut Reader<'t>, files: &mut ModelFiles) {
    let kind = TYPES.iter().position(|(known, _)| *known == key);
    if kind.is_none() && !matches!(node.kind(), Kind::Mapping) {
        return;
    }
    let Some(mapping) = reader.mapping(node) else { return };
    // A position that is null is a file without a name, and so missing.
    if let Some(kind) = kind.filter(|_| mapping.get("position").is_some()) {
        files.positions.push((kind, reader.field(&mapping, "position")));
    }
    files.patterns.extend(reader.field::<Vec<String>>(&mapping, "predefined"));
}

fn position_of(position: &mut ModelPosition, kind: usize) -> &mut Option<Vec<String>> {
    match kind {
        0 => &mut position.llm,
        1 => &mut position.text_embedding,
        2 => &mut position.rerank,
        3 => &mut position.tts,
        4 => &mut position.speech2text,
        _ => &mut position.moderation,
    }
}

/// Tells of names in position files that no model bears.
fn notice_positions(decoder: &mut Decoder<'_>, path: &str, provider: &mut ModelProvider) {
    let ModelProvider { position: Some(position), models, .. } = provider else { return };
    for (kind, (key, _)) in TYPES.iter().enumerate() {
        let unknown: Vec<&str> = position_of(position, kind)
            .iter()
            .flatten()
            .map(String::as_str)
            .filter(|name| !models.iter().any(|model| model.model == *name))
            .collect();
        if !unknown.is_empty() {
            decoder.notice(path, None, "unknown_position", || {
                format!("the {key} positions name models that do not exist: {}", unknown.join(", "))
            });
        }
    }
}

fn position_file(decoder: &mut Decoder<'_>, kind: usize, path: &str) -> Result<Vec<String>, DecodeError> {
    let name = TYPES.get(kind).map_or("", |(_, name)| name);
    let reading = format!("failed to read {name} position file: {path}");
    let decoding = format!("failed to unmarshal {name} position file: {path}");
    decoder.file(path, Some(reading), Some(decoding), read_root)
}

/// The models in the files that patterns match, in the order of the package; a file that two patterns match counts twice.
fn matching(decoder: &mut Decoder<'_>, provider: &str, patterns: &[String]) -> Result<Vec<Model>, DecodeError> {
    let error = |cause| DecodeError { file: provider.to_owned(), cause, context: None };
    if patterns.len() > MOST_PATTERNS {
        return Err(error(Cause::TooMuch { what: "patterns for models", most: MOST_PATTERNS }));
    }
    let mut compiled = Vec::new();
    for pattern in patterns {
        if pattern.len() > LONGEST_PATTERN {
            return Err(error(Cause::TooMuch { what: "bytes in a pattern for models", most: LONGEST_PATTERN }));
        }
        let bad = || error(Cause::Pattern { pattern: pattern.clone() });
        compiled.push(Pattern::new(pattern).map_err(|_| bad())?);
    }
    let mut models = Vec::new();
    let mut used = vec![false; compiled.len()];
    for path in decoder.files.walk().map_err(|cause| error(cause.into()))? {
        if path.ends_with("_position.yaml") {
            continue;
        }
        let mut count = 0;
        for (_, used) in compiled.iter().zip(&mut used).filter(|(pattern, _)| pattern.matches(&path)) {
            let reading = format!("failed to read model file: {path}");
            let decoding = format!("failed to unmarshal model file: {path}");
            models.push(decoder.file(&path, Some(reading), Some(decoding), read_root)?);
            *used = true;
            count += 1;
        }
        if count > 1 {
            decoder.notice(&path, None, "repeated_model", || {
                format!("{count} patterns of {provider} match this file: its model is listed {count} times")
            });
        }
    }
    for (pattern, _) in patterns.iter().zip(used).filter(|(_, used)| !used) {
        decoder.notice(provider, None, "useless_pattern", || format!("no file matches the pattern `{pattern}`"));
    }
    Ok(models)
}
