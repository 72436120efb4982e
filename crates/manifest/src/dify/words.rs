//! The values of Dify's enumerations, by field.

/// Types of parameters that some version of Dify, of the SDK or of the reference has, for whatever kind of plugin.
pub(super) const ANYWHERE: [&str; 20] = [
    "any",
    "app-selector",
    "array",
    "array[tools]",
    "boolean",
    "checkbox",
    "date",
    "date-range",
    "dynamic-select",
    "dynamic-tree-select",
    "file",
    "files",
    "model-selector",
    "number",
    "object",
    "secret-input",
    "select",
    "string",
    "system-files",
    "text-input",
];

/// Types of fields of credentials, settings, OAuth and subscriptions.
pub(super) const FIELD: [&str; 7] =
    ["secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"];

/// Types of parameters of tools.
pub(super) const TOOL: [&str; 18] = [
    "string",
    "number",
    "boolean",
    "select",
    "secret-input",
    "file",
    "files",
    "checkbox",
    "app-selector",
    "model-selector",
    "any",
    "dynamic-select",
    "dynamic-tree-select",
    "array",
    "object",
    "system-files",
    "date",
    "date-range",
];

/// Types of parameters of agent strategies.
pub(super) const AGENT: [&str; 14] = [
    "string",
    "number",
    "boolean",
    "select",
    "secret-input",
    "file",
    "files",
    "app-selector",
    "model-selector",
    "array[tools]",
    "any",
    "system-files",
    "array",
    "object",
];

/// Types of parameters of data sources.
pub(super) const DATASOURCE: [&str; 8] =
    ["string", "number", "boolean", "select", "secret-input", "file", "files", "system-files"];

/// Types of parameters of events and subscriptions.
pub(super) const EVENT: [&str; 12] = [
    "string",
    "number",
    "boolean",
    "select",
    "file",
    "files",
    "model-selector",
    "app-selector",
    "object",
    "array",
    "dynamic-select",
    "checkbox",
];

/// Who sets a parameter of a tool.
pub(super) const FORMS: [&str; 3] = ["schema", "form", "llm"];

/// Kinds of data sources.
pub(super) const DATASOURCE_KINDS: [&str; 4] = ["online_document", "local_file", "website_crawl", "online_drive"];

/// Tags of providers; a plugin's own tags may be any.
pub(super) const TAGS: [&str; 17] = [
    "search",
    "image",
    "videos",
    "weather",
    "finance",
    "design",
    "travel",
    "social",
    "news",
    "medical",
    "productivity",
    "education",
    "business",
    "entertainment",
    "utilities",
    "rag",
    "other",
];

/// What an agent strategy can do beside answering.
pub(super) const AGENT_FEATURES: [&str; 1] = ["history-messages"];

/// Types of models.
pub(super) const MODELS: [&str; 6] = ["llm", "text-embedding", "rerank", "speech2text", "moderation", "tts"];
/// Types of models that the reference has and Dify's declarations have not.
pub(super) const OTHER_MODELS: [&str; 3] = ["text2img", "multimodal-embedding", "multimodal-rerank"];

/// How models come to be.
pub(super) const METHODS: [&str; 2] = ["predefined-model", "customizable-model"];

/// Features of models.
pub(super) const MODEL_FEATURES: [&str; 10] = [
    "tool-call",
    "multi-tool-call",
    "agent-thought",
    "vision",
    "stream-tool-call",
    "document",
    "video",
    "audio",
    "structured-output",
    "polling",
];

/// Keys of a model's properties.
pub(super) const MODEL_PROPERTIES: [&str; 11] = [
    "mode",
    "context_size",
    "max_chunks",
    "file_upload_limit",
    "supported_file_extensions",
    "max_characters_per_chunk",
    "default_voice",
    "voices",
    "word_limit",
    "audio_type",
    "max_workers",
];

/// Types of a model's parameters.
pub(super) const RULES: [&str; 5] = ["float", "int", "string", "boolean", "text"];

/// Types of fields of a model provider's credentials.
pub(super) const MODEL_FORMS: [&str; 5] = ["text-input", "secret-input", "select", "radio", "switch"];

/// Bytes that a plugin may ask to store.
pub(super) const STORAGE: std::ops::RangeInclusive<u64> = 1024..=1 << 30;
