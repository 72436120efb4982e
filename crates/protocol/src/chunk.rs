//! What a plugin may answer to each action, and how an answer is mended for Dify (plugin-protocol 4.4, http-api 5.3).

mod blob;
mod polling;

use crate::action::Action;
use crate::message::{EMBEDDINGS, LLM_CHUNK, RERANKED, TOOL_MESSAGE, flag, list, map};
use crate::shape::Shape::{Any, Bool, Decimal, Int, List, Map, Number, Object, OneOf, Text, Within};
use crate::shape::{Shape, free, given, null, or, present, text};

pub use blob::{BlobError, BlobMerger, Merged};
pub use polling::polling_result;

/// An object with these fields.
macro_rules! object {
    ($($field:expr),* $(,)?) => {
        const { &Object(&[$($field),*]) }
    };
}

/// What one `stream` message of the action carries; `None` for the actions that have a reader of their own: polling
/// ([`polling_result`]) and endpoints ([`crate::endpoint::Piece`]).
pub fn shape(action: Action) -> Option<&'static Shape> {
    Some(match action {
        Action::InvokeTool
        | Action::InvokeAgentStrategy
        | Action::GetOnlineDocumentPageContent
        | Action::OnlineDriveDownloadFile => &TOOL_MESSAGE,
        Action::InvokeLlm => &LLM_CHUNK,
        Action::GetLlmNumTokens => object![or("num_tokens", Int, "0")],
        Action::StartPolling | Action::CheckPolling | Action::InvokeEndpoint => return None,
        Action::InvokeTextEmbedding | Action::InvokeMultimodalEmbedding => &EMBEDDINGS,
        Action::GetTextEmbeddingNumTokens => object![present("num_tokens", List(&Int))],
        Action::InvokeRerank | Action::InvokeMultimodalRerank => &RERANKED,
        Action::InvokeTts => object![text("result"), free("mime_type", Text)],
        Action::GetTtsModelVoices => {
            object![present("voices", List(&VOICE))]
        }
        Action::InvokeSpeech2Text => object![text("result")],
        Action::ValidateProviderCredentials | Action::ValidateModelCredentials => {
            object![flag("result"), null("credentials", Map)]
        }
        Action::InvokeModeration
        | Action::ValidateToolCredentials
        | Action::ValidateDatasourceCredentials
        | Action::ValidateTriggerCredentials => object![flag("result")],
        Action::GetAiModelSchemas => object![null("model_schema", MODEL_SCHEMA)],
        Action::GetToolRuntimeParameters => object![list("parameters", &TOOL_PARAMETER)],
        Action::GetAuthorizationUrl => object![text("authorization_url")],
        Action::GetCredentials | Action::RefreshCredentials => {
            object![OPTIONAL_METADATA, map("credentials"), or("expires_at", Int, "-1")]
        }
        Action::GetWebsiteCrawl => object![null("result", Map)],
        Action::GetOnlineDocumentPages => object![list("result", &Map)],
        Action::OnlineDriveBrowseFiles => object![present("result", List(&FOLDER))],
        Action::FetchParameterOptions => object![list("options", &OPTION)],
        Action::InvokeTriggerEvent => object![map("variables"), flag("cancelled")],
        Action::DispatchTriggerEvent => {
            object![text("user_id"), list("events", &Text), OPTIONAL_PAYLOAD, text("response")]
        }
        Action::SubscribeTrigger | Action::UnsubscribeTrigger | Action::RefreshTrigger => {
            object![null("subscription", Map)]
        }
    })
}

/// Whether Dify takes no event at all for an answer that says "none" (http-api 12.5).
pub fn says_nothing(action: Action, chunk: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Schema<'a> {
        #[serde(borrow)]
        model_schema: Option<&'a serde_json::value::RawValue>,
    }
    action == Action::GetAiModelSchemas
        && serde_json::from_slice::<Schema<'_>>(chunk).is_ok_and(|schema| schema.model_schema.is_none())
}

const OPTIONAL_METADATA: crate::shape::Field = crate::shape::omit("metadata", Map);
const OPTIONAL_PAYLOAD: crate::shape::Field = crate::shape::omit("payload", Map);

const VOICE: Shape = Object(&[given("name", Text), given("value", Text)]);

const I18N: Shape =
    Object(&[given("en_US", Within(1024)), free("zh_Hans", Text), free("ja_JP", Text), free("pt_BR", Text)]);

const OPTION: Shape = Object(&[given("value", Text), present("label", I18N), text("icon")]);

const FOLDER: Shape = Object(&[
    null("bucket", Text),
    list("files", &Object(&[text("id"), text("name"), or("size", Int, "0"), text("type")])),
    flag("is_truncated"),
    null("next_page_parameters", Map),
]);

/// The parameters that a tool makes up for its caller; Dify fills in what is left out.
const TOOL_PARAMETER: Shape = Object(&[
    text("name"),
    free("label", Map),
    free("human_description", Map),
    text("type"),
    text("form"),
    text("llm_description"),
    flag("required"),
    free("options", List(&Map)),
    free("min", Number),
    free("max", Number),
    free("precision", Int),
]);

/// A model as its plugin describes it (package-format 8).
const MODEL_SCHEMA: Shape = Object(&[
    given("model", Text),
    present("label", I18N),
    given("model_type", OneOf(crate::request::MODEL_TYPES)),
    free("features", List(&Text)),
    or("fetch_from", OneOf(&["predefined-model", "customizable-model"]), "\"predefined-model\""),
    map("model_properties"),
    flag("deprecated"),
    list(
        "parameter_rules",
        &Object(&[
            given("name", Text),
            free("use_template", Text),
            free("label", Map),
            free("type", Text),
            free("help", Map),
            free("required", Bool),
            free("default", Any),
            free("min", Number),
            free("max", Number),
            free("precision", Int),
            list("options", &Text),
        ]),
    ),
    free(
        "pricing",
        Object(&[
            present("input", Decimal),
            free("output", Decimal),
            present("unit", Decimal),
            given("currency", Text),
        ]),
    ),
]);

#[cfg(test)]
mod tests;
