"""What Dify's models demand of a declaration: fields without a default must be there, null only where it says so."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from packaging.version import Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Base(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


def is_version(text: str) -> str:
    Version(text)  # raises a ValueError
    return text


VersionText = Annotated[str, AfterValidator(is_version)]


class Text(Base):
    en_US: str
    zh_Hans: str | None = None
    pt_BR: str | None = None
    ja_JP: str | None = None


class Choice(Base):
    value: str
    label: Text


Fields = list["ConfigField"]


class ConfigField(Base):
    name: str
    type: Literal[
        "secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"
    ]  # fmt: skip
    scope: str | None = None
    required: bool = False
    default: int | str | float | bool | None = None
    options: list[Choice] | None = None
    multiple: bool = False
    label: Text | None = None
    help: Text | None = None
    url: str | None = None
    placeholder: Text | None = None


class OAuth(Base):
    client_schema: Fields = []
    credentials_schema: Fields = []


class AutoGenerate(Base):
    type: Literal["prompt_instruction"]


class Template(Base):
    enabled: bool = False


class Parameter(Base):
    name: str
    label: Text
    scope: str | None = None
    auto_generate: AutoGenerate | None = None
    template: Template | None = None
    required: bool = False
    default: float | int | str | bool | list[Any] | dict[str, Any] | None = None
    min: float | int | None = None
    max: float | int | None = None
    precision: int | None = None
    options: list[Choice] | None = None


class ToolParameter(Parameter):
    type: Literal[
        "string", "number", "boolean", "select", "secret-input", "file", "files", "checkbox", "app-selector",
        "model-selector", "any", "dynamic-select", "array", "object", "system-files",
    ]  # fmt: skip
    form: Literal["schema", "form", "llm"]
    human_description: Text | None = None
    llm_description: str | None = None
    multiple: bool = False

    def model_post_init(self, _context: Any) -> None:
        assert not self.multiple or self.type in {"select", "dynamic-select"}, "multiple is for selects"


class StrategyParameter(Parameter):
    type: Literal[
        "string", "number", "boolean", "select", "secret-input", "file", "files", "app-selector", "model-selector",
        "array[tools]", "any", "system-files",
    ]  # fmt: skip
    help: Text | None = None


class DatasourceParameter(Parameter):
    type: Literal["string", "number", "boolean", "select", "secret-input", "file", "files", "system-files"]
    description: Text


class EventParameter(Parameter):
    type: Literal[
        "string", "number", "boolean", "select", "file", "files", "model-selector", "app-selector", "object", "array",
        "dynamic-select", "checkbox",
    ]  # fmt: skip
    multiple: bool | None = False
    default: int | float | str | list[Any] | None = None
    description: Text | None = None


class Identity(Base):
    author: str
    name: str
    label: Text


class ProviderIdentity(Identity):
    description: Text
    icon: str
    tags: list[Literal[
        "search", "image", "videos", "weather", "finance", "design", "travel", "social", "news", "medical",
        "productivity", "education", "business", "entertainment", "utilities", "rag", "other",
    ]] | None = []  # fmt: skip


class ToolDescription(Base):
    human: Text
    llm: str


class Tool(Base):
    identity: Identity
    description: ToolDescription | None = None
    parameters: list[ToolParameter] | None = []
    output_schema: dict[str, Any] | None = None
    has_runtime_parameters: bool = False


class ToolProvider(Base):
    identity: ProviderIdentity
    credentials_schema: Fields = []
    oauth_schema: OAuth | None = None
    tools: list[Tool] = []


class Strategy(Base):
    identity: Identity
    description: Text
    parameters: list[StrategyParameter] | None = []
    output_schema: dict[str, Any] | None = None
    features: list[Literal["history-messages"]] | None = None


class StrategyProvider(Base):
    identity: ProviderIdentity
    strategies: list[Strategy] = []


class Datasource(Base):
    identity: Identity
    description: Text
    parameters: list[DatasourceParameter] | None = []
    output_schema: dict[str, Any] | None = None


class DatasourceProvider(Base):
    identity: ProviderIdentity
    credentials_schema: Fields = []
    oauth_schema: OAuth | None = None
    provider_type: Literal["online_document", "local_file", "website_crawl", "online_drive"]
    datasources: list[Datasource] = []


class Event(Base):
    identity: Identity
    description: Text
    parameters: list[EventParameter] | None = []
    output_schema: dict[str, Any] | None = None


class TriggerIdentity(Identity):
    description: Text
    icon: str | None = None
    tags: list[str] = []


class Constructor(Base):
    parameters: list[EventParameter] = []
    credentials_schema: Fields = []
    oauth_schema: OAuth | None = None


class TriggerProvider(Base):
    identity: TriggerIdentity
    subscription_schema: Fields = []
    subscription_constructor: Constructor | None = None
    events: list[Event] = []


class Endpoint(Base):
    path: str
    method: str
    hidden: bool = False


class EndpointGroup(Base):
    settings: Fields | None = []
    endpoints: list[Endpoint] | None = []


class ShowOn(Base):
    variable: str
    value: str


class FormOption(Base):
    label: Text
    value: str
    show_on: list[ShowOn] = []


class Form(Base):
    variable: str
    label: Text
    type: Literal["text-input", "secret-input", "select", "radio", "switch"]
    required: bool = True
    default: str | None = None
    options: list[FormOption] | None = None
    placeholder: Text | None = None
    max_length: int = 0
    show_on: list[ShowOn] = []


class ProviderCredentials(Base):
    credential_form_schemas: list[Form]


class ModelName(Base):
    label: Text
    placeholder: Text | None = None


class ModelCredentials(ProviderCredentials):
    model: ModelName


class Rule(Base):
    name: str
    use_template: str | None = None
    label: Text
    type: Literal["float", "int", "string", "boolean", "text"]
    help: Text | None = None
    required: bool = False
    default: Any = None
    min: float | None = None
    max: float | None = None
    precision: int | None = None
    options: list[str] = []


class Pricing(Base):
    input: Decimal
    output: Decimal | None = None
    unit: Decimal
    currency: str


ModelType = Literal["llm", "text-embedding", "rerank", "speech2text", "moderation", "tts"]
Method = Literal["predefined-model", "customizable-model"]
Property = Literal[
    "mode", "context_size", "max_chunks", "file_upload_limit", "supported_file_extensions", "max_characters_per_chunk",
    "default_voice", "voices", "word_limit", "audio_type", "max_workers",
]  # fmt: skip


class Model(Base):
    model: str
    label: Text
    model_type: ModelType
    features: list[Literal[
        "tool-call", "multi-tool-call", "agent-thought", "vision", "stream-tool-call", "document", "video", "audio",
        "structured-output", "polling",
    ]] | None = None  # fmt: skip
    fetch_from: Method
    model_properties: dict[Property, Any]
    deprecated: bool = False
    parameter_rules: list[Rule] = []
    pricing: Pricing | None = None


class Help(Base):
    title: Text
    url: Text


class ModelProvider(Base):
    provider: str
    label: Text
    description: Text | None = None
    icon_small: Text | None = None
    icon_large: Text | None = None
    background: str | None = None
    help: Help | None = None
    supported_model_types: list[ModelType]
    configurate_methods: list[Method]
    models: list[Model] = []
    provider_credential_schema: ProviderCredentials | None = None
    model_credential_schema: ModelCredentials | None = None
    position: dict[str, list[str]] | None = {}


class Storage(Base):
    enabled: bool | None = False
    size: int = Field(ge=1024, le=1 << 30, default=1 << 20)


class Permission(Base):
    tool: dict[str, bool | None] | None = None
    model: dict[str, bool | None] | None = None
    node: dict[str, bool | None] | None = None
    endpoint: dict[str, bool | None] | None = None
    app: dict[str, bool | None] | None = None
    storage: Storage | None = None


class Resource(Base):
    memory: int
    permission: Permission | None = None


class Meta(Base):
    version: str | None = None
    minimum_dify_version: VersionText | None = None


class Declaration(Base):
    version: VersionText
    author: str | None = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    name: str = Field(pattern=r"^[a-z0-9_-]{1,128}$")
    description: Text
    icon: str
    label: Text
    created_at: datetime
    resource: Resource
    plugins: dict[str, list[str] | None]
    meta: Meta
    tags: list[str] = []
    repo: str | None = None
    verified: bool = False
    tool: ToolProvider | None = None
    model: ModelProvider | None = None
    endpoint: EndpointGroup | None = None
    agent_strategy: StrategyProvider | None = None
    datasource: DatasourceProvider | None = None
    trigger: TriggerProvider | None = None
