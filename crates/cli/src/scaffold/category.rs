//! What a new plugin can be.

use std::fmt;

/// One of the eleven categories of `plugin init` (cli 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Category {
    Tool,
    AgentStrategy,
    Llm,
    TextEmbedding,
    Rerank,
    Tts,
    #[value(name = "speech2text")]
    Speech2Text,
    Moderation,
    Extension,
    Datasource,
    Trigger,
}

/// A kind of provider as the manifest knows it, and how it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// The key below `plugins`.
    pub(crate) key: &'static str,
    /// The folder of the provider's file.
    pub(crate) folder: &'static str,
    /// In a sentence.
    pub(super) word: &'static str,
    /// The path of the icon's drawing.
    pub(super) drawing: &'static str,
}

const TOOL: Kind = Kind {
    key: "tools",
    folder: "provider",
    word: "tools",
    drawing: "M24 11a6 6 0 0 0-7 8l-7 7 4 4 7-7a6 6 0 0 0 8-7l-4 4-4-1-1-4z",
};
const MODEL: Kind = Kind {
    key: "models",
    folder: "provider",
    word: "models",
    drawing: "M20 9l9 5v12l-9 5-9-5V14zM11 14l9 5 9-5M20 19v12",
};
const EXTENSION: Kind = Kind {
    key: "endpoints",
    folder: "group",
    word: "endpoints",
    drawing: "M20 10a10 10 0 1 0 0 20 10 10 0 1 0 0-20M10 20h20M20 10c6 6 6 14 0 20c-6-6-6-14 0-20",
};
const AGENT_STRATEGY: Kind = Kind {
    key: "agent_strategies",
    folder: "provider",
    word: "agent strategies",
    drawing: "M12 15h16v13H12zM20 15v-5M16 21h1M23 21h1M17 25h6",
};
const DATASOURCE: Kind = Kind {
    key: "datasources",
    folder: "provider",
    word: "datasources",
    drawing: "M11 13a9 3 0 1 0 18 0a9 3 0 1 0-18 0v14a9 3 0 0 0 18 0V13M11 20a9 3 0 0 0 18 0",
};
const TRIGGER: Kind =
    Kind { key: "triggers", folder: "provider", word: "triggers", drawing: "M22 9l-9 13h7l-2 9 9-13h-7z" };

impl Category {
    /// In the order in which the dialog lists them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Tool,
        Self::AgentStrategy,
        Self::Llm,
        Self::TextEmbedding,
        Self::Rerank,
        Self::Tts,
        Self::Speech2Text,
        Self::Moderation,
        Self::Extension,
        Self::Datasource,
        Self::Trigger,
    ];

    /// As on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::AgentStrategy => "agent-strategy",
            Self::Llm => "llm",
            Self::TextEmbedding => "text-embedding",
            Self::Rerank => "rerank",
            Self::Tts => "tts",
            Self::Speech2Text => "speech2text",
            Self::Moderation => "moderation",
            Self::Extension => "extension",
            Self::Datasource => "datasource",
            Self::Trigger => "trigger",
        }
    }

    /// In a sentence, for who chooses.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::Tool => "models and workflows call it to get something done",
            Self::AgentStrategy => "decides how an agent thinks and which tools it uses",
            Self::Llm => "a provider of language models",
            Self::TextEmbedding => "a provider of models that turn text into vectors",
            Self::Rerank => "a provider of models that order documents by a query",
            Self::Tts => "a provider of models that speak",
            Self::Speech2Text => "a provider of models that listen",
            Self::Moderation => "a provider of models that say what must not pass",
            Self::Extension => "answers web requests at an address of its own",
            Self::Datasource => "where the documents of a knowledge base come from",
            Self::Trigger => "starts workflows when something happens elsewhere",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Tool => TOOL,
            Self::AgentStrategy => AGENT_STRATEGY,
            Self::Extension => EXTENSION,
            Self::Datasource => DATASOURCE,
            Self::Trigger => TRIGGER,
            Self::Llm | Self::TextEmbedding | Self::Rerank | Self::Tts | Self::Speech2Text | Self::Moderation => MODEL,
        }
    }

    /// The folder below `models`, for providers of models.
    pub(super) fn model_folder(self) -> Option<&'static str> {
        match self {
            Self::Llm => Some("llm"),
            Self::TextEmbedding => Some("text_embedding"),
            Self::Rerank => Some("rerank"),
            Self::Tts => Some("tts"),
            Self::Speech2Text => Some("speech2text"),
            Self::Moderation => Some("moderation"),
            Self::Tool | Self::AgentStrategy | Self::Extension | Self::Datasource | Self::Trigger => None,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
