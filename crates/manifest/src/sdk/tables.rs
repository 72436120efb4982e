//! The SDK's models of the files of a plugin (`dify_plugin` 0.10).

mod models;

use super::shape::Shape::{
    Any, Bool, Checked, File, FileOr, Int, Json, List, LooseList, Map, Name, Named, NamedOrList, Number, Object, OneOf,
    Scalar, ScalarOrList, Text, Time, Version, Within,
};
use super::shape::{Field, Rule, Shape, def, loose, opt, present, req};
use models::MODEL_PROVIDER;
pub(super) use models::{MODEL, POSITIONS};

const I18N: Shape = Object(&[
    Field { alias: Some("en_us"), ..req("en_US", Text) },
    Field { alias: Some("zh_hans"), ..opt("zh_Hans", Text) },
    Field { alias: Some("pt_br"), ..opt("pt_BR", Text) },
    Field { alias: Some("ja_jp"), ..opt("ja_JP", Text).recent() },
]);
const SOURCE: Shape = Object(&[req("python", Object(&[req("source", Text)]))]);
const EXTRA: Field = req("extra", SOURCE);

const ENABLED: Shape = Object(&[opt("enabled", Bool)]);
const MODEL_PERMISSION: Shape = Object(&[
    opt("enabled", Bool),
    opt("llm", Bool),
    opt("text_embedding", Bool),
    opt("rerank", Bool),
    opt("tts", Bool),
    opt("speech2text", Bool),
    opt("moderation", Bool),
]);
const PERMISSION: Shape = Object(&[
    opt("tool", ENABLED),
    opt("model", MODEL_PERMISSION),
    opt("node", ENABLED),
    opt("endpoint", ENABLED),
    opt("app", ENABLED),
    opt("storage", Object(&[opt("enabled", Bool), def("size", Within(1024, 1 << 30))])),
]);

/// `manifest.yaml`, and by it every other file.
pub(super) const MANIFEST: Shape = Object(&[
    req("version", Version),
    req("type", OneOf("plugin")),
    present("author", Name(64, true)),
    req("name", Name(128, false)),
    opt("repo", Text).recent(),
    req("description", I18N),
    req("icon", Text),
    opt("icon_dark", Text).recent(),
    req("label", I18N),
    req("created_at", Time),
    req("resource", Object(&[req("memory", Int), opt("permission", PERMISSION)])),
    req(
        "plugins",
        Object(&[
            def("tools", List(&File(&TOOL_PROVIDER))),
            def("models", List(&File(&MODEL_PROVIDER))),
            def("endpoints", List(&File(&ENDPOINT_GROUP))),
            def("agent_strategies", List(&File(&AGENT_PROVIDER))),
            def("datasources", List(&File(&DATASOURCE_PROVIDER))),
            def("triggers", List(&File(&TRIGGER_PROVIDER))),
        ]),
    ),
    req(
        "meta",
        Object(&[
            req("version", Text),
            req("arch", List(&OneOf("amd64 arm64"))),
            req("runner", Object(&[req("language", OneOf("python")), req("version", Text), req("entrypoint", Text)])),
            opt("minimum_dify_version", Version).recent(),
        ]),
    ),
]);

const FIELD_TYPE: Field =
    req("type", OneOf("secret-input text-input select boolean model-selector app-selector array[tools]"));

/// A field of credentials, with these keys before the others.
macro_rules! config {
    ($($first:expr),*) => {
        Object(&[
            $($first,)*
            FIELD_TYPE,
            opt("scope", Text),
            def("required", Bool),
            opt("default", ScalarOrList),
            opt("options", List(&Object(&[req("value", Text), req("label", I18N)]))),
            opt("multiple", Bool),
            req("label", I18N),
            opt("help", I18N),
            opt("url", Text),
            opt("placeholder", I18N),
        ])
    };
}

const NAMELESS: Shape = config!();
const CONFIG: Shape = config!(req("name", Text));
const CONFIGS: Shape = List(&CONFIG);
const OAUTH: Shape = Object(&[def("client_schema", CONFIGS), def("credentials_schema", CONFIGS)]);

const TAGS: Shape = List(&OneOf(
    "search image videos weather finance design travel social news medical productivity education \
            business entertainment utilities rag other",
));
const PROVIDER_IDENTITY: Shape = Object(&[
    req("author", Text),
    req("name", Text),
    req("description", I18N),
    req("icon", Text),
    opt("icon_dark", Text).recent(),
    req("label", I18N),
    def("tags", TAGS),
]);
const IDENTITY: Shape = Object(&[req("author", Text), req("name", Text), req("label", I18N)]);

const AUTO_GENERATE: Field = opt("auto_generate", Object(&[req("type", OneOf("prompt_instruction"))]));
const TEMPLATE: Field = opt("template", Object(&[req("enabled", Bool)]));
const SCOPE: Field = opt("scope", Text);
const MIN: Field = opt("min", Number);
const MAX: Field = opt("max", Number);
const PRECISION: Field = opt("precision", Int);
const SHOW_ON: Field = def("show_on", List(&Object(&[req("variable", Text), req("value", Text)])));
const NAME: Field = req("name", Text);
const LABEL: Field = req("label", I18N);
/// The SDK turns any value of an option into a text.
const OPTION: Shape = Object(&[present("value", Any), LABEL, opt("icon", Text).recent()]);
const TOOL_OPTION: Shape = Object(&[present("value", Any), LABEL, opt("icon", Text).recent(), SHOW_ON.recent()]);

const TOOL_PROVIDER: Shape = Object(&[
    req("identity", PROVIDER_IDENTITY),
    def("credentials_for_provider", Named(&NAMELESS)),
    opt("oauth_schema", OAUTH).recent(),
    def("tools", List(&File(&TOOL))),
    EXTRA,
]);

const TOOL: Shape = Object(&[
    req("identity", IDENTITY),
    loose("parameters", LooseList(&TOOL_PARAMETER)),
    req("description", Object(&[req("human", I18N), req("llm", Text)])),
    EXTRA,
    opt("output_schema", Map),
]);

const TOOL_PARAMETER: Shape = Checked(
    &[
        NAME,
        LABEL,
        req("human_description", I18N),
        req(
            "type",
            OneOf(
                "string number boolean select secret-input file files model-selector app-selector checkbox any \
            object array dynamic-select date date-range",
            ),
        ),
        AUTO_GENERATE,
        TEMPLATE,
        SCOPE,
        req("form", OneOf("schema form llm")),
        opt("llm_description", Text),
        opt("required", Bool),
        def("multiple", Bool).recent(),
        opt("default", Json),
        MIN,
        MAX,
        PRECISION,
        opt("options", List(&TOOL_OPTION)),
        opt("input_schema", Map).recent(),
        SHOW_ON.recent(),
    ],
    Rule::Multiple,
);

const AGENT_PROVIDER: Shape = Object(&[req("identity", PROVIDER_IDENTITY), def("strategies", List(&File(&STRATEGY)))]);

const STRATEGY: Shape = Object(&[
    req("identity", IDENTITY),
    loose("parameters", LooseList(&STRATEGY_PARAMETER)),
    req("description", I18N),
    EXTRA,
    def("features", List(&OneOf("history-messages"))).recent(),
]);

const STRATEGY_PARAMETER: Shape = Object(&[
    NAME,
    LABEL,
    opt("help", I18N).recent(),
    req(
        "type",
        OneOf(
            "string number boolean select secret-input file files model-selector app-selector array[tools] \
            any object array",
        ),
    ),
    AUTO_GENERATE,
    TEMPLATE,
    SCOPE,
    opt("required", Bool),
    opt("default", Scalar),
    MIN,
    MAX,
    PRECISION,
    opt("options", List(&TOOL_OPTION)),
]);

const DATASOURCE_PROVIDER: Shape = Object(&[
    req(
        "identity",
        Object(&[
            req("author", Text),
            NAME,
            req("description", I18N),
            req("icon", Text),
            LABEL,
            opt(
                "tags",
                List(&OneOf(
                    "search image videos weather finance design travel social news medical productivity education \
            business entertainment utilities other",
                )),
            ),
        ]),
    ),
    def("credentials_schema", CONFIGS),
    opt("oauth_schema", OAUTH),
    req("provider_type", OneOf("online_document website_crawl online_drive")),
    def("datasources", List(&File(&DATASOURCE))),
    EXTRA,
]);

const DATASOURCE: Shape = Object(&[
    req("identity", Object(&[req("author", Text), NAME, LABEL, opt("icon", Text)])),
    loose("parameters", LooseList(&DATASOURCE_PARAMETER)),
    req("description", I18N),
    def("output_schema", Map),
    EXTRA,
]);

const DATASOURCE_PARAMETER: Shape = Object(&[
    NAME,
    LABEL,
    opt("placeholder", I18N),
    SCOPE,
    AUTO_GENERATE,
    TEMPLATE,
    def("required", Bool),
    opt("default", Scalar),
    MIN,
    MAX,
    PRECISION,
    def("options", List(&OPTION)),
    req("type", OneOf("string number boolean select secret-input file files")),
    req("description", I18N),
]);

const TRIGGER_PROVIDER: Shape = Object(&[
    req(
        "identity",
        Object(&[
            req("author", Text),
            NAME,
            LABEL,
            req("description", I18N),
            opt("icon", Text),
            opt("icon_dark", Text),
            def("tags", List(&OneOf("webhooks"))),
        ]),
    ),
    def("subscription_schema", CONFIGS),
    def("credentials_schema", NamedOrList(&Any, &Any)),
    opt(
        "subscription_constructor",
        Object(&[
            def("parameters", List(&EVENT_PARAMETER)),
            def("credentials_schema", NamedOrList(&NAMELESS, &CONFIG)),
            opt("oauth_schema", OAUTH),
            opt("extra", SOURCE),
        ]),
    ),
    def("events", List(&File(&EVENT))),
    EXTRA,
]);

const EVENT: Shape = Object(&[
    req("identity", IDENTITY),
    loose("parameters", LooseList(&EVENT_PARAMETER)),
    req("description", I18N),
    EXTRA,
    opt("output_schema", Map),
]);

const EVENT_PARAMETER: Shape = Object(&[
    NAME,
    LABEL,
    req(
        "type",
        OneOf(
            "string number boolean select checkbox file files model-selector app-selector object array \
            dynamic-select",
        ),
    ),
    AUTO_GENERATE,
    TEMPLATE,
    SCOPE,
    opt("required", Bool),
    opt("multiple", Bool),
    opt("default", ScalarOrList),
    MIN,
    MAX,
    PRECISION,
    opt("options", List(&OPTION)),
    opt("description", I18N),
]);

const ENDPOINT_GROUP: Shape = Object(&[def("settings", CONFIGS), def("endpoints", List(&FileOr(&ENDPOINT)))]);

const ENDPOINT: Shape = Object(&[req("path", Text), req("method", Text), def("hidden", Bool), EXTRA]);
