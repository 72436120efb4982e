//! What calls back and their answers look like (plugin-protocol 5.4). Nulls that Dify or the SDK would refuse are filled;
//! unknown keys go through, for newer versions of either.

use super::Kind;
use crate::message::{
    DOCUMENT, EMBEDDINGS, LLM_CHUNK, PROMPT, RERANKED, STRUCTURED_LLM_CHUNK, TOOL, TOOL_CHOICE, TOOL_MESSAGE, flag,
    list, map,
};
use crate::shape::Shape::{Bool, Int, List, Map, Number, Object, OneOf, Text};
use crate::shape::{Field, Shape, free, given, never, null, omit, or, present, text};

const MODEL: [Field; 2] = [given("provider", Text), given("model", Text)];

/// A request, without the keys that say who asks.
macro_rules! request {
    ($($field:expr),* $(,)?) => {
        const { &Object(&[$($field,)* never("tenant_id"), never("user_id"), never("type")]) }
    };
}

/// A request to a model.
macro_rules! model {
    ($($field:expr),* $(,)?) => {
        request![MODEL[0], MODEL[1] $(, $field)*]
    };
}

/// A request to a language model.
macro_rules! llm {
    ($($field:expr),* $(,)?) => {
        model![
            given("mode", Text),
            map("completion_params"),
            list("prompt_messages", &PROMPT),
            null("tools", List(&TOOL)),
            omit("tool_choice", TOOL_CHOICE),
            null("stop", List(&Text)),
            flag("stream")
            $(, $field)*
        ]
    };
}

macro_rules! object {
    ($($field:expr),* $(,)?) => {
        const { &Object(&[$($field),*]) }
    };
}

pub(super) fn request(kind: Kind) -> &'static Shape {
    match kind {
        Kind::Tool => request![
            given("tool_type", OneOf(&["builtin", "workflow", "api", "mcp"])),
            given("provider", Text),
            given("tool", Text),
            map("tool_parameters"),
            text("credential_id"),
            omit("credential_type", Text)
        ],
        Kind::Llm => llm![],
        Kind::LlmStructuredOutput => llm![present("structured_output_schema", Map)],
        Kind::TextEmbedding => model![present("texts", List(&Text)), given("input_type", Text)],
        Kind::MultimodalEmbedding => model![present("documents", List(&DOCUMENT)), given("input_type", Text)],
        Kind::Rerank => model![
            given("query", Text),
            present("docs", List(&Text)),
            or("score_threshold", Number, "0"),
            or("top_n", Int, "0")
        ],
        Kind::MultimodalRerank => model![
            present("query", DOCUMENT),
            present("docs", List(&DOCUMENT)),
            or("score_threshold", Number, "0"),
            or("top_n", Int, "0")
        ],
        Kind::Tts => model![given("content_text", Text), given("voice", Text)],
        Kind::Speech2Text => model![given("file", Text)],
        Kind::Moderation => model![given("text", Text)],
        Kind::App => request![
            given("app_id", Text),
            map("inputs"),
            text("query"),
            text("response_mode"),
            text("conversation_id"),
            text("user")
        ],
        Kind::ParameterExtractor => request![
            present("parameters", List(&PARAMETER)),
            present("model", NODE_MODEL),
            text("instruction"),
            given("query", Text)
        ],
        Kind::QuestionClassifier => request![
            present("classes", List(&CLASS)),
            present("model", NODE_MODEL),
            text("instruction"),
            given("query", Text)
        ],
        Kind::Summary => request![given("text", Text), text("instruction")],
        Kind::UploadFile => request![given("filename", Text), given("mimetype", Text)],
        Kind::FetchApp => request![given("app_id", Text)],
        Kind::Storage => {
            request![given("opt", OneOf(&["get", "set", "del", "exist"])), given("key", Text), text("value")]
        }
    }
}

const CLASS: Shape = Object(&[given("id", Text), given("name", Text)]);

const NODE_MODEL: Shape =
    Object(&[given("provider", Text), given("name", Text), given("mode", Text), map("completion_params")]);

const PARAMETER: Shape = Object(&[
    given("name", Text),
    given(
        "type",
        OneOf(&[
            "string",
            "number",
            "bool",
            "boolean",
            "select",
            "array[string]",
            "array[number]",
            "array[object]",
            "array[boolean]",
        ]),
    ),
    list("options", &Text),
    text("description"),
    or("required", Bool, "false"),
]);

pub(super) fn result(kind: Kind) -> &'static Shape {
    match kind {
        Kind::Tool => &TOOL_MESSAGE,
        Kind::Llm => &LLM_CHUNK,
        Kind::LlmStructuredOutput => &STRUCTURED_LLM_CHUNK,
        Kind::TextEmbedding | Kind::MultimodalEmbedding => &EMBEDDINGS,
        Kind::Rerank | Kind::MultimodalRerank => &RERANKED,
        Kind::Tts => object![text("result"), free("mime_type", Text)],
        Kind::Speech2Text => object![text("result")],
        Kind::Moderation => object![flag("result")],
        Kind::App | Kind::Storage => &Map,
        Kind::ParameterExtractor | Kind::QuestionClassifier => {
            object![present("process_data", Map), present("outputs", Map), present("inputs", Map)]
        }
        Kind::Summary => object![text("summary")],
        Kind::UploadFile => object![text("url")],
        Kind::FetchApp => object![present("data", Map)],
    }
}
