//! Calls of plugins back to Dify: kinds, requests, results, and the permission that each needs
//! (plugin-protocol 5).

mod shapes;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shape::Shape;

/// Something that the manifest has to grant (plugin-protocol 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Tool,
    Llm,
    TextEmbedding,
    Rerank,
    Tts,
    Speech2Text,
    Moderation,
    Node,
    App,
    Storage,
}

impl Grant {
    /// The error that a plugin gets without the grant.
    pub fn denial(self) -> String {
        let word = match self {
            Self::Tool => "tool",
            Self::Llm => "llm",
            Self::TextEmbedding => "text-embedding",
            Self::Rerank => "rerank",
            Self::Tts => "tts",
            Self::Speech2Text => "speech2text",
            Self::Moderation => "moderation",
            Self::Node => "node",
            Self::App => "app",
            Self::Storage => "storage",
        };
        format!("permission denied, you need to enable {word} access in plugin manifest")
    }
}

/// How an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One document.
    Struct,
    /// Frames, one after the other.
    Stream,
    /// Dify is not asked.
    Here,
}

macro_rules! kinds {
    ($($variant:ident $name:literal $path:literal $form:ident [$($grant:ident)?] $failed:literal $broken:literal;)*) => {
        /// What a plugin asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($variant,)*
        }

        impl Kind {
            /// Every kind, in the order of the specification's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The `type` of a request.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The route below `/inner/api/`; empty if Dify is not asked.
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)* }
            }

            pub const fn form(self) -> Form {
                match self { $(Self::$variant => Form::$form,)* }
            }

            /// What the manifest has to grant, if anything.
            pub const fn grant(self) -> Option<Grant> {
                match self { $(Self::$variant => kinds!(@grant $($grant)?),)* }
            }

            /// What an error begins with.
            pub const fn failed(self) -> &'static str {
                match self { $(Self::$variant => $failed,)* }
            }

            /// What an error begins with once a streamed answer has begun.
            pub const fn broken(self) -> &'static str {
                match self { $(Self::$variant => $broken,)* }
            }
        }
    };
    (@grant $grant:ident) => { Some(Grant::$grant) };
    (@grant) => { None };
}

kinds! {
    Tool "tool" "invoke/tool" Stream [Tool] "invoke tool failed: " "read tool response failed: ";
    Llm "llm" "invoke/llm" Stream [Llm] "invoke llm model failed: " "read llm model failed: ";
    LlmStructuredOutput "llm_structured_output" "invoke/llm/structured-output" Stream [Llm]
        "invoke llm with structured output model failed: " "read llm with structured output model failed: ";
    TextEmbedding "text_embedding" "invoke/text-embedding" Struct [TextEmbedding]
        "invoke text-embedding model failed: " "";
    MultimodalEmbedding "multimodal_embedding" "invoke/multimodal-embedding" Struct [TextEmbedding]
        "invoke multimodal embedding model failed: " "";
    Rerank "rerank" "invoke/rerank" Struct [Rerank] "invoke rerank model failed: " "";
    MultimodalRerank "multimodal_rerank" "invoke/multimodal-rerank" Struct [Rerank]
        "invoke multimodal rerank model failed: " "";
    Tts "tts" "invoke/tts" Stream [Tts] "invoke tts model failed: " "read tts model failed: ";
    Speech2Text "speech2text" "invoke/speech2text" Struct [Speech2Text] "invoke speech2text model failed: " "";
    Moderation "moderation" "invoke/moderation" Struct [Moderation] "invoke moderation model failed: " "";
    App "app" "invoke/app" Stream [App] "invoke app failed: " "read app failed: ";
    ParameterExtractor "node_parameter_extractor" "invoke/parameter-extractor" Struct [Node]
        "invoke parameter extractor failed: " "";
    QuestionClassifier "node_question_classifier" "invoke/question-classifier" Struct [Node]
        "invoke question classifier failed: " "";
    Summary "system_summary" "invoke/summary" Struct [Llm] "invoke summary failed: " "";
    UploadFile "upload_file" "upload/file/request" Struct [] "upload file failed: " "";
    FetchApp "fetch_app" "fetch/app/info" Struct [App] "fetch app failed: " "";
    Storage "storage" "" Here [Storage] "" "";
}

impl Kind {
    /// The kind of that name.
    ///
    /// ```
    /// use plugin_protocol::callback::{Grant, Kind};
    ///
    /// let kind = Kind::parse("llm_structured_output").unwrap();
    /// assert_eq!((kind.path(), kind.grant()), ("invoke/llm/structured-output", Some(Grant::Llm)));
    /// assert_eq!(Grant::Llm.denial(), "permission denied, you need to enable llm access in plugin manifest");
    /// assert_eq!(Kind::parse("weather"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }

    /// What the request must look like; the keys that name the caller are the daemon's to set.
    pub fn request(self) -> &'static Shape {
        shapes::request(self)
    }

    /// What each document of the answer must look like.
    pub fn result(self) -> &'static Shape {
        shapes::result(self)
    }
}

/// A call back as it arrives.
#[derive(Debug)]
pub struct Invoke<'a> {
    pub kind: Cow<'a, str>,
    /// Comes back with every answer.
    pub id: Cow<'a, str>,
    pub request: &'a RawValue,
}

/// A call back that cannot even be answered: the session ends with it (plugin-protocol 5.1).
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    #[error("unmarshal invoke request failed: {0}")]
    Json(#[from] serde_json::Error),
    #[error("invoke request is empty")]
    Empty,
    #[error("invoke request missing type: {0}")]
    Kind(String),
    #[error("invoke request missing request_id: {0}")]
    Id(String),
    #[error("invoke request missing request: {0}")]
    Request(String),
}

impl<'a> Invoke<'a> {
    /// Reads the data of an `invoke` message.
    ///
    /// ```
    /// use plugin_protocol::callback::Invoke;
    ///
    /// let data = br#"{"type": "storage", "backwards_request_id": "r-1", "request": {"opt": "get", "key": "k"}}"#;
    /// let invoke = Invoke::parse(data)?;
    /// assert_eq!((&*invoke.kind, &*invoke.id), ("storage", "r-1"));
    /// assert_eq!(invoke.request.get(), r#"{"opt": "get", "key": "k"}"#);
    /// let error = Invoke::parse(br#"{"type": "storage", "request": {}}"#).unwrap_err();
    /// assert_eq!(error.to_string(), "invoke request missing request_id: it is absent");
    /// # Ok::<(), plugin_protocol::callback::InvokeError>(())
    /// ```
    pub fn parse(data: &'a [u8]) -> Result<Self, InvokeError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<&'a RawValue>,
            #[serde(borrow)]
            backwards_request_id: Option<&'a RawValue>,
            #[serde(borrow)]
            request: Option<&'a RawValue>,
        }
        let wire: Option<Wire<'a>> = match data.trim_ascii_start().first() {
            // serde takes a list for a struct, too
            Some(b'[') => return Err(InvokeError::Json(serde::de::Error::custom("expected an object, found a list"))),
            _ => serde_json::from_slice(data)?,
        };
        let wire = wire.ok_or(InvokeError::Empty)?;
        let text = |value: Option<&'a RawValue>| match value {
            None => Err("it is absent".to_owned()),
            Some(value) => serde_json::from_str::<Text<'a>>(value.get()).map(|text| text.0).map_err(|e| e.to_string()),
        };
        if wire.kind.is_none() && wire.backwards_request_id.is_none() && wire.request.is_none() {
            return Err(InvokeError::Empty);
        }
        Ok(Self {
            kind: text(wire.kind).map_err(InvokeError::Kind)?,
            id: text(wire.backwards_request_id).map_err(InvokeError::Id)?,
            request: wire
                .request
                .filter(|request| request.get().starts_with('{'))
                .ok_or_else(|| InvokeError::Request("it must be an object".to_owned()))?,
        })
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a plugin wants of its storage (plugin-protocol 5.5).
#[derive(Debug, Deserialize)]
#[serde(tag = "opt", rename_all = "lowercase")]
pub enum StorageRequest {
    Get {
        key: String,
    },
    Set {
        key: String,
        /// Hex.
        #[serde(default)]
        value: String,
    },
    Del {
        key: String,
    },
    Exist {
        key: String,
    },
}

#[cfg(test)]
mod tests;
