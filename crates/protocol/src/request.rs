//! What Dify may ask of a plugin by each action, and how a request is mended for the SDK (http-api 5.3,
//! plugin-protocol 4.3 and 6.3).

use crate::action::Action;
use crate::message::{DOCUMENT, KNOWN_PROMPT, PROMPT, TOOL, TOOL_CHOICE, flag, list, map};
use crate::shape::Shape::{Int, List, Map, Number, Object, OneOf, Text};
use crate::shape::{Field, Shape, given, never, null, omit, present, text};

/// What a model can be (http-api 5.3).
pub(crate) const MODEL_TYPES: &[&str] = &[
    "llm",
    "text-embedding",
    "rerank",
    "speech2text",
    "moderation",
    "tts",
    "text2img",
    "multimodal-embedding",
    "multimodal-rerank",
];

const CREDENTIALS: Field = map("credentials");
const CREDENTIAL_TYPE: Field = omit("credential_type", Text);
const PROVIDER: Field = given("provider", Text);
const RAW_REQUEST: Field = given("raw_http_request", Text);
const TOOLS: Field = null("tools", List(&TOOL));

/// The data of a request. The three keys that the daemon itself puts there are not the caller's to set.
macro_rules! data {
    ($($field:expr),* $(,)?) => {
        const { &Object(&[$($field,)* never("user_id"), never("type"), never("action")]) }
    };
}

/// The data of a request to a model of a type.
macro_rules! model {
    ($type:expr $(, $field:expr)* $(,)?) => {
        data![PROVIDER, given("model", Text), given("model_type", $type), CREDENTIALS, CREDENTIAL_TYPE $(, $field)*]
    };
}

/// The `data` of a request for the action.
pub fn shape(action: Action) -> &'static Shape {
    match action {
        Action::InvokeTool => {
            data![PROVIDER, given("tool", Text), map("tool_parameters"), CREDENTIALS, CREDENTIAL_TYPE]
        }
        Action::ValidateToolCredentials => data![PROVIDER, CREDENTIALS],
        Action::GetToolRuntimeParameters => data![PROVIDER, given("tool", Text), CREDENTIALS],
        Action::InvokeAgentStrategy => {
            data![given("agent_strategy_provider", Text), given("agent_strategy", Text), map("agent_strategy_params")]
        }
        Action::InvokeLlm | Action::StartPolling => model![
            OneOf(&["llm"]),
            map("model_parameters"),
            list("prompt_messages", &PROMPT),
            TOOLS,
            omit("tool_choice", TOOL_CHOICE),
            null("stop", List(&Text)),
            null("json_schema", Map),
            flag("stream")
        ],
        Action::CheckPolling => model![OneOf(&["llm"]), present("plugin_state", STATE)],
        Action::GetLlmNumTokens => model![OneOf(&["llm"]), list("prompt_messages", &KNOWN_PROMPT), TOOLS],
        Action::InvokeTextEmbedding => {
            model![OneOf(&["text-embedding"]), present("texts", List(&Text)), given("input_type", Text)]
        }
        Action::GetTextEmbeddingNumTokens => model![OneOf(&["text-embedding"]), present("texts", List(&Text))],
        Action::InvokeMultimodalEmbedding => {
            model![Text, present("documents", List(&DOCUMENT)), given("input_type", OneOf(&["document", "query"]))]
        }
        Action::InvokeRerank => model![
            OneOf(&["rerank"]),
            given("query", Text),
            present("docs", List(&Text)),
            null("score_threshold", Number),
            null("top_n", Int)
        ],
        Action::InvokeMultimodalRerank => model![
            Text,
            present("query", DOCUMENT),
            present("docs", List(&DOCUMENT)),
            null("score_threshold", Number),
            null("top_n", Int)
        ],
        Action::InvokeTts => {
            model![OneOf(&["tts"]), given("content_text", Text), given("voice", Text), given("tenant_id", Text)]
        }
        Action::GetTtsModelVoices => model![OneOf(&["tts"]), null("language", Text)],
        Action::InvokeSpeech2Text => model![OneOf(&["speech2text"]), given("file", Text)],
        Action::InvokeModeration => model![OneOf(&["moderation"]), given("text", Text)],
        Action::ValidateProviderCredentials => data![PROVIDER, CREDENTIALS, CREDENTIAL_TYPE],
        Action::ValidateModelCredentials | Action::GetAiModelSchemas => model![OneOf(MODEL_TYPES)],
        Action::InvokeEndpoint => data![RAW_REQUEST, map("settings")],
        Action::GetAuthorizationUrl => data![PROVIDER, given("redirect_uri", Text), map("system_credentials")],
        Action::GetCredentials => {
            data![PROVIDER, given("redirect_uri", Text), map("system_credentials"), RAW_REQUEST]
        }
        Action::RefreshCredentials => {
            data![PROVIDER, given("redirect_uri", Text), map("system_credentials"), present("credentials", Map)]
        }
        Action::ValidateDatasourceCredentials | Action::ValidateTriggerCredentials => {
            data![PROVIDER, CREDENTIALS, CREDENTIAL_TYPE]
        }
        Action::GetWebsiteCrawl | Action::GetOnlineDocumentPages => data![
            PROVIDER,
            given("datasource", Text),
            CREDENTIALS,
            CREDENTIAL_TYPE,
            present("datasource_parameters", Map)
        ],
        Action::GetOnlineDocumentPageContent => {
            data![PROVIDER, given("datasource", Text), CREDENTIALS, CREDENTIAL_TYPE, present("page", Map)]
        }
        Action::OnlineDriveBrowseFiles => {
            data![PROVIDER, given("datasource", Text), CREDENTIALS, CREDENTIAL_TYPE, present("request", BROWSE)]
        }
        Action::OnlineDriveDownloadFile => {
            data![PROVIDER, given("datasource", Text), CREDENTIALS, CREDENTIAL_TYPE, present("request", DOWNLOAD)]
        }
        Action::FetchParameterOptions => data![
            PROVIDER,
            present("credentials", Map),
            CREDENTIAL_TYPE,
            given("provider_action", Text),
            given("parameter", Text)
        ],
        Action::InvokeTriggerEvent => data![
            PROVIDER,
            given("event", Text),
            RAW_REQUEST,
            map("parameters"),
            present("subscription", Map),
            map("payload"),
            CREDENTIALS,
            CREDENTIAL_TYPE
        ],
        Action::DispatchTriggerEvent => {
            data![PROVIDER, present("subscription", Map), RAW_REQUEST, CREDENTIALS, CREDENTIAL_TYPE]
        }
        Action::SubscribeTrigger => {
            data![PROVIDER, given("endpoint", Text), map("parameters"), CREDENTIALS, CREDENTIAL_TYPE]
        }
        Action::UnsubscribeTrigger | Action::RefreshTrigger => {
            data![PROVIDER, present("subscription", Map), CREDENTIALS, CREDENTIAL_TYPE]
        }
    }
}

const BROWSE: Shape =
    Object(&[null("bucket", Text), text("prefix"), given("max_keys", Int), null("next_page_parameters", Map)]);

const DOWNLOAD: Shape = Object(&[null("bucket", Text), given("id", Text)]);

/// What a polled job was left with: at least one key.
const STATE: Shape = Shape::Also(&Map, has_a_key);

fn has_a_key(text: &[u8]) -> Option<(&'static str, &'static str)> {
    text.iter()
        .skip(1)
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'}')
        .then_some(("", "min"))
}

#[cfg(test)]
mod tests;
