//! Model providers and their models.

use super::{I18N, LABEL, MAX, MIN, NAME, PRECISION, SHOW_ON};
use crate::sdk::shape::Shape::{Any, Bool, Checked, Decimal, Int, Keys, List, Models, Object, OneOf, Text};
use crate::sdk::shape::{Field, Rule, Shape, def, loose, opt, req};

const FORMS: Field = req("credential_form_schemas", List(&FORM));

pub(super) const MODEL_PROVIDER: Shape = Object(&[
    req("provider", Text),
    LABEL,
    opt("description", I18N),
    opt("icon_small", I18N),
    opt("icon_large", I18N),
    opt("icon_small_dark", I18N).recent(),
    opt("icon_large_dark", I18N).recent(),
    opt("background", Text),
    opt("help", Object(&[req("title", I18N), req("url", I18N)])),
    req("supported_model_types", List(&MODEL_TYPE)),
    req("configurate_methods", List(&METHOD)),
    def("models", Models),
    opt("provider_credential_schema", Object(&[FORMS])),
    opt("model_credential_schema", Object(&[req("model", Object(&[LABEL, opt("placeholder", I18N)])), FORMS])),
    opt(
        "position",
        Object(&[
            opt("llm", POSITIONS),
            opt("text_embedding", POSITIONS),
            opt("rerank", POSITIONS),
            opt("tts", POSITIONS),
            opt("speech2text", POSITIONS),
            opt("moderation", POSITIONS),
        ]),
    ),
    req("extra", Object(&[req("python", Object(&[req("provider_source", Text), def("model_sources", List(&Text))]))])),
]);

/// A file with the order of models.
pub(in crate::sdk) const POSITIONS: Shape = List(&Text);

const MODEL_TYPE: Shape = OneOf("llm text-embedding rerank speech2text moderation tts text2img");
const METHOD: Shape = OneOf("predefined-model customizable-model");

const FORM: Shape = Object(&[
    req("variable", Text),
    LABEL,
    req("type", OneOf("text-input secret-input select radio switch")),
    def("required", Bool),
    opt("default", Text),
    opt("options", List(&Object(&[LABEL, req("value", Text), SHOW_ON]))),
    opt("placeholder", I18N),
    def("max_length", Int),
    SHOW_ON,
]);

/// A file with a model.
pub(in crate::sdk) const MODEL: Shape = Object(&[
    req("model", Text),
    loose("label", I18N),
    req("model_type", MODEL_TYPE),
    opt(
        "features",
        List(&OneOf(
            "tool-call multi-tool-call agent-thought vision stream-tool-call document video audio \
            structured-output polling",
        )),
    ),
    def("fetch_from", METHOD),
    req(
        "model_properties",
        Keys(
            "mode context_size max_chunks file_upload_limit supported_file_extensions \
            max_characters_per_chunk default_voice voices word_limit audio_type max_workers",
        ),
    ),
    def("deprecated", Bool),
    def(
        "parameter_rules",
        List(&Checked(
            &[
                NAME,
                opt("use_template", Text),
                loose("label", I18N),
                req("type", OneOf("float int string boolean text")),
                opt("help", I18N),
                def("required", Bool),
                opt("default", Any),
                MIN,
                MAX,
                PRECISION,
                def("options", List(&Text)),
            ],
            Rule::Template,
        )),
    ),
    opt(
        "pricing",
        Object(&[req("input", Decimal), opt("output", Decimal), req("unit", Decimal), req("currency", Text)]),
    ),
]);
