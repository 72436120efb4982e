//! The actions of plugins: access types, names and dispatch paths (plugin-protocol 4.2).

use std::fmt;

/// The kind of provider a request is for; the `type` of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessType {
    Tool,
    AgentStrategy,
    Model,
    Endpoint,
    OAuth,
    Datasource,
    DynamicParameter,
    Trigger,
}

impl AccessType {
    /// The `type` of the request's data.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::AgentStrategy => "agent_strategy",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::OAuth => "oauth",
            Self::Datasource => "datasource",
            Self::DynamicParameter => "dynamic_parameter",
            Self::Trigger => "trigger",
        }
    }
}

impl fmt::Display for AccessType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! actions {
    ($($variant:ident $access:ident $name:literal $path:literal;)*) => {
        /// One action of a plugin.
        ///
        /// ```
        /// use plugin_protocol::{AccessType, Action};
        ///
        /// let action = Action::InvokeTool;
        /// assert_eq!((action.as_str(), action.path()), ("invoke_tool", "tool/invoke"));
        /// assert_eq!(action.access_type(), AccessType::Tool);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($variant,)*
        }

        impl Action {
            /// Every action, in the order of the specification's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `action` of the request's data.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of provider that has the action.
            pub const fn access_type(self) -> AccessType {
                match self { $(Self::$variant => AccessType::$access,)* }
            }

            /// The route below `/dispatch/`, empty for the endpoint action, which webhooks reach.
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }
        }
    };
}

actions! {
    InvokeTool Tool "invoke_tool" "tool/invoke";
    ValidateToolCredentials Tool "validate_tool_credentials" "tool/validate_credentials";
    GetToolRuntimeParameters Tool "get_tool_runtime_parameters" "tool/get_runtime_parameters";
    InvokeAgentStrategy AgentStrategy "invoke_agent_strategy" "agent_strategy/invoke";
    InvokeLlm Model "invoke_llm" "llm/invoke";
    GetLlmNumTokens Model "get_llm_num_tokens" "llm/num_tokens";
    StartPolling Model "start_polling" "model/polling/start";
    CheckPolling Model "check_polling" "model/polling/check";
    InvokeTextEmbedding Model "invoke_text_embedding" "text_embedding/invoke";
    GetTextEmbeddingNumTokens Model "get_text_embedding_num_tokens" "text_embedding/num_tokens";
    InvokeMultimodalEmbedding Model "invoke_multimodal_embedding" "multimodal_embedding/invoke";
    InvokeRerank Model "invoke_rerank" "rerank/invoke";
    InvokeMultimodalRerank Model "invoke_multimodal_rerank" "multimodal_rerank/invoke";
    InvokeTts Model "invoke_tts" "tts/invoke";
    GetTtsModelVoices Model "get_tts_model_voices" "tts/model/voices";
    InvokeSpeech2Text Model "invoke_speech2text" "speech2text/invoke";
    InvokeModeration Model "invoke_moderation" "moderation/invoke";
    ValidateProviderCredentials Model "validate_provider_credentials" "model/validate_provider_credentials";
    ValidateModelCredentials Model "validate_model_credentials" "model/validate_model_credentials";
    GetAiModelSchemas Model "get_ai_model_schemas" "model/schema";
    InvokeEndpoint Endpoint "invoke_endpoint" "";
    GetAuthorizationUrl OAuth "get_authorization_url" "oauth/get_authorization_url";
    GetCredentials OAuth "get_credentials" "oauth/get_credentials";
    RefreshCredentials OAuth "refresh_credentials" "oauth/refresh_credentials";
    ValidateDatasourceCredentials Datasource "validate_datasource_credentials" "datasource/validate_credentials";
    GetWebsiteCrawl Datasource "invoke_website_datasource_get_crawl" "datasource/get_website_crawl";
    GetOnlineDocumentPages Datasource "invoke_online_document_datasource_get_pages" "datasource/get_online_document_pages";
    GetOnlineDocumentPageContent Datasource "invoke_online_document_datasource_get_page_content"
        "datasource/get_online_document_page_content";
    OnlineDriveBrowseFiles Datasource "invoke_online_drive_browse_files" "datasource/online_drive_browse_files";
    OnlineDriveDownloadFile Datasource "invoke_online_drive_download_file" "datasource/online_drive_download_file";
    FetchParameterOptions DynamicParameter "fetch_parameter_options" "dynamic_select/fetch_parameter_options";
    InvokeTriggerEvent Trigger "invoke_trigger_event" "trigger/invoke_event";
    ValidateTriggerCredentials Trigger "validate_trigger_credentials" "trigger/validate_credentials";
    DispatchTriggerEvent Trigger "dispatch_trigger_event" "trigger/dispatch_event";
    SubscribeTrigger Trigger "subscribe_trigger" "trigger/subscribe";
    UnsubscribeTrigger Trigger "unsubscribe_trigger" "trigger/unsubscribe";
    RefreshTrigger Trigger "refresh_trigger" "trigger/refresh";
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_paths_are_unique() {
        let names: HashSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        let paths: HashSet<_> = Action::ALL.iter().map(|action| action.path()).collect();
        assert_eq!((names.len(), paths.len()), (Action::ALL.len(), Action::ALL.len()));
    }
}
