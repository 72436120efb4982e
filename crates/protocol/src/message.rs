//! Shapes that several tables share: fields with defaults, messages of tools, prompts, usages (plugin-protocol 4.3 to
//! 4.5).

use crate::shape::Shape::{Any, Bool, Decimal, Int, List, Map, Number, Object, OneOf, Text, TextOr};
use crate::shape::{Field, Shape, always, free, given, never, null, omit, or, present, text};

/// An object that is empty when it is absent or null.
pub(crate) const fn map(name: &'static str) -> Field {
    or(name, Map, "{}")
}

/// A list that is empty when it is absent or null.
pub(crate) const fn list(name: &'static str, item: &'static Shape) -> Field {
    or(name, List(item), "[]")
}

/// A boolean that is false when it is absent or null.
pub(crate) const fn flag(name: &'static str) -> Field {
    or(name, Bool, "false")
}

/// A price that is 0 when it is absent or null.
const fn price(name: &'static str) -> Field {
    or(name, Decimal, "\"0\"")
}

/// What a tool, an agent strategy or a data source says (plugin-protocol 4.5).
pub(crate) const TOOL_MESSAGE: Shape =
    Object(&[given("type", OneOf(TOOL_MESSAGE_TYPES)), null("message", Map), null("meta", Map)]);

const TOOL_MESSAGE_TYPES: &[&str] = &[
    "text",
    "file",
    "blob",
    "blob_chunk",
    "json",
    "link",
    "image",
    "image_link",
    "binary_link",
    "variable",
    "log",
    "retriever_resources",
];

const TOOL_CALL: Shape = Object(&[
    text("id"),
    text("type"),
    or("function", Object(&[text("name"), text("arguments")]), r#"{"name":"","arguments":""}"#),
]);

/// One part of a message whose content is a list; the SDK takes no `detail` that is empty.
macro_rules! content {
    ($kind:expr) => {
        Object(&[
            given("type", $kind),
            text("base64_data"),
            text("url"),
            text("data"),
            text("encode_format"),
            text("format"),
            text("mime_type"),
            omit("detail", Text),
            text("filename"),
            free("opaque_body", Any),
        ])
    };
}

/// A prompt message. The SDK takes no `tool_calls` that is null, Dify's own messages may have a null content.
macro_rules! prompt {
    ($role:expr, $content:expr, $tool_calls:expr) => {
        Object(&[
            given("role", $role),
            or("content", TextOr(&List(&$content)), "\"\""),
            text("name"),
            $tool_calls,
            text("tool_call_id"),
            free("opaque_body", Any),
        ])
    };
}

const ROLE: Shape = OneOf(&["system", "user", "assistant", "tool", "developer"]);
const CONTENT: Shape = content!(Text);
const KNOWN_CONTENT: Shape = content!(OneOf(&["text", "image", "audio", "video", "document"]));
const OPTIONAL_CALLS: Field = omit("tool_calls", List(&TOOL_CALL));

/// A message of a prompt, its role and the types of its content unchecked.
pub(crate) const PROMPT: Shape = prompt!(Text, CONTENT, OPTIONAL_CALLS);
/// A message of a prompt.
pub(crate) const KNOWN_PROMPT: Shape = prompt!(ROLE, KNOWN_CONTENT, OPTIONAL_CALLS);

/// What a model says.
const SAID: Shape = Object(&[
    given("role", ROLE),
    or("content", TextOr(&List(&KNOWN_CONTENT)), "\"\""),
    list("tool_calls", &TOOL_CALL),
    free("name", Text),
    free("tool_call_id", Text),
    free("opaque_body", Any),
]);

const USAGE: Shape = Object(&[
    present("prompt_tokens", Int),
    price("prompt_unit_price"),
    price("prompt_price_unit"),
    price("prompt_price"),
    present("completion_tokens", Int),
    price("completion_unit_price"),
    price("completion_price_unit"),
    price("completion_price"),
    present("total_tokens", Int),
    price("total_price"),
    given("currency", Text),
    present("latency", Number),
]);

const DELTA: Shape =
    Object(&[present("index", Int), present("message", SAID), null("usage", USAGE), null("finish_reason", Text)]);

/// One piece of what a language model says; Dify wants `prompt_messages` in it, and the prompt is no news to it.
pub(crate) const LLM_CHUNK: Shape = Object(&[
    given("model", Text),
    text("system_fingerprint"),
    present("delta", DELTA),
    always("prompt_messages", "[]"),
]);

/// The same with what it adds to a structured output.
pub(crate) const STRUCTURED_LLM_CHUNK: Shape = Object(&[
    given("model", Text),
    text("system_fingerprint"),
    present("delta", DELTA),
    never("prompt_messages"),
    null("structured_output", Map),
]);

/// Vectors with what they cost.
pub(crate) const EMBEDDINGS: Shape = Object(&[
    given("model", Text),
    present("embeddings", List(&List(&Number))),
    present(
        "usage",
        Object(&[
            present("tokens", Int),
            present("total_tokens", Int),
            price("unit_price"),
            price("price_unit"),
            price("total_price"),
            given("currency", Text),
            present("latency", Number),
        ]),
    ),
]);

/// Documents in their new order.
pub(crate) const RERANKED: Shape = Object(&[
    given("model", Text),
    present("docs", List(&Object(&[present("index", Int), present("text", Text), present("score", Number)]))),
]);

/// A tool as a model may call it.
pub(crate) const TOOL: Shape = Object(&[given("name", Text), text("description"), map("parameters")]);

/// How a model may use tools; a mode that is the name of one needs it.
pub(crate) const TOOL_CHOICE: Shape = Shape::Also(
    &Object(&[given("mode", OneOf(&["auto", "none", "required", "tool"])), omit("name", Text)]),
    names_its_tool,
);

fn names_its_tool(text: &[u8]) -> Option<(&'static str, &'static str)> {
    #[derive(serde::Deserialize)]
    struct Choice {
        mode: String,
        #[serde(default)]
        name: Option<String>,
    }
    let choice: Choice = serde_json::from_slice(text).ok()?;
    (choice.mode == "tool" && choice.name.is_none_or(|name| name.is_empty())).then_some(("name", "required_if"))
}

/// A text or an image, for models that take both.
pub(crate) const DOCUMENT: Shape = Object(&[given("content", Text), given("content_type", OneOf(&["text", "image"]))]);
