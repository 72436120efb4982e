-- The tables as the reference's migration leaves them in PostgreSQL, with rows that it wrote.
CREATE TABLE agent_strategy_installations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    tenant_id uuid NOT NULL,
    provider character varying(127) NOT NULL,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255)
);
CREATE TABLE ai_model_installations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    provider character varying(127) NOT NULL,
    tenant_id uuid NOT NULL,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255)
);
CREATE TABLE datasource_installations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    tenant_id uuid NOT NULL,
    provider character varying(127) NOT NULL,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255)
);
CREATE TABLE endpoints (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    name character varying(127) DEFAULT 'default'::character varying,
    hook_id character varying(127),
    tenant_id character varying(64),
    user_id character varying(64),
    plugin_id character varying(64),
    expired_at timestamp with time zone,
    enabled boolean,
    settings text
);
CREATE TABLE install_tasks (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    status character varying(50) NOT NULL,
    tenant_id uuid NOT NULL,
    total_plugins bigint NOT NULL,
    completed_plugins bigint NOT NULL,
    plugins text
);
CREATE TABLE plugin_declarations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255),
    declaration text
);
CREATE TABLE plugin_installations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    tenant_id uuid,
    plugin_id character varying(255),
    plugin_unique_identifier character varying(255),
    runtime_type character varying(127),
    endpoints_setups bigint,
    endpoints_active bigint,
    source character varying(63),
    meta text
);
CREATE TABLE plugin_readme_records (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    plugin_unique_identifier character varying(255) NOT NULL,
    language character varying(10) NOT NULL,
    content text NOT NULL
);
CREATE TABLE plugins (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255),
    refers bigint DEFAULT 0,
    install_type character varying(127),
    manifest_type character varying(127),
    remote_declaration text,
    source character varying(63) DEFAULT ''::character varying
);
CREATE TABLE serverless_runtimes (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    plugin_unique_identifier character varying(255),
    function_url character varying(255),
    function_name character varying(127),
    type character varying(127),
    checksum character varying(127)
);
CREATE TABLE tenant_storages (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    tenant_id character varying(255) NOT NULL,
    plugin_id character varying(255) NOT NULL,
    size bigint NOT NULL
);
CREATE TABLE tool_installations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    tenant_id uuid NOT NULL,
    provider character varying(127) NOT NULL,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255)
);
CREATE TABLE trigger_installations (
    id uuid NOT NULL,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    tenant_id uuid NOT NULL,
    provider character varying(127) NOT NULL,
    plugin_unique_identifier character varying(255),
    plugin_id character varying(255)
);
INSERT INTO ai_model_installations (id, created_at, updated_at, provider, tenant_id, plugin_unique_identifier, plugin_id) VALUES ('01a20ad3-cf96-7014-8cb7-03253639f7ae', '2026-11-23 23:53:03.126011+00', '2026-11-23 23:53:03.126011+00', 'kitchen', '00000000-0000-4000-8000-000000000001', 'conformance/model_kitchen:1.0.0@0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a', 'conformance/model_kitchen');
INSERT INTO endpoints (id, created_at, updated_at, name, hook_id, tenant_id, user_id, plugin_id, expired_at, enabled, settings) VALUES ('01a20ad3-d179-77a5-a118-b95a8cad94b1', '2026-11-23 23:53:03.609509+00', '2026-11-23 23:53:03.625946+00', 'hook', '1ond39d3b9o8b4vz', '00000000-0000-4000-8000-000000000001', '6c26f4f5-5fc5-4bd0-885c-c6de84cedc4c', 'conformance/earlier', '2050-01-01 00:00:00+00', true, '{"greeting":"moin","token":"encrypted:drow terces a"}');
INSERT INTO install_tasks (id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins) VALUES ('01a20ad3-c3e9-74a4-90c4-2e22ca295ef0', '2026-11-23 23:53:00.137317+00', '2026-11-23 23:53:03.170771+00', 'success', '00000000-0000-4000-8000-000000000001', 2, 2, '[{"plugin_unique_identifier":"conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","labels":{"en_US":"Tool Kitchen","zh_Hans":"工具厨房"},"icon":"529972c73c7c79bc756f0ec5405252595cfabcc4434ee79859a68872d7d1d575.svg","icon_dark":"aab626874f7fa89a57dc2bb90c0d03bb5dcdb569a316676ff715cc26359ef733.svg","plugin_id":"conformance/earlier","status":"success","message":"installed","source":"marketplace"},{"plugin_unique_identifier":"conformance/model_kitchen:1.0.0@0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","labels":{"en_US":"Model Kitchen"},"icon":"529972c73c7c79bc756f0ec5405252595cfabcc4434ee79859a68872d7d1d575.svg","icon_dark":"","plugin_id":"conformance/model_kitchen","status":"success","message":"installed","source":"marketplace"}]');
INSERT INTO install_tasks (id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins) VALUES ('01a20ad3-d081-7b84-a7ef-0da22167c624', '2026-11-23 23:53:03.361764+00', '2026-11-23 23:53:03.414907+00', 'success', '00000000-0000-4000-8000-000000000002', 1, 1, '[{"plugin_unique_identifier":"conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","labels":{"en_US":"Tool Kitchen","zh_Hans":"工具厨房"},"icon":"529972c73c7c79bc756f0ec5405252595cfabcc4434ee79859a68872d7d1d575.svg","icon_dark":"aab626874f7fa89a57dc2bb90c0d03bb5dcdb569a316676ff715cc26359ef733.svg","plugin_id":"conformance/earlier","status":"success","message":"installed","source":"github"}]');
INSERT INTO install_tasks (id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins) VALUES ('01a20ad3-d248-7ebe-9cd4-f24182d8165b', '2026-11-23 23:53:03.816973+00', '2026-11-23 23:53:04.938085+00', 'failed', '00000000-0000-4000-8000-000000000001', 1, 0, '[{"plugin_unique_identifier":"conformance/failing:1.0.0@0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b","labels":{"en_US":"Tool Kitchen","zh_Hans":"工具厨房"},"icon":"529972c73c7c79bc756f0ec5405252595cfabcc4434ee79859a68872d7d1d575.svg","icon_dark":"aab626874f7fa89a57dc2bb90c0d03bb5dcdb569a316676ff715cc26359ef733.svg","plugin_id":"conformance/failing","status":"failed","message":"failed to launch plugin: plugin failed to start: broken on purpose\n","source":"package"}]');
INSERT INTO plugin_installations (id, created_at, updated_at, tenant_id, plugin_id, plugin_unique_identifier, runtime_type, endpoints_setups, endpoints_active, source, meta) VALUES ('01a20ad3-cf8f-720c-af46-b671a60873e3', '2026-11-23 23:53:03.119144+00', '2026-11-23 23:53:03.119144+00', '00000000-0000-4000-8000-000000000001', 'conformance/model_kitchen', 'conformance/model_kitchen:1.0.0@0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a', 'local', 0, 0, 'marketplace', '{}');
INSERT INTO plugin_installations (id, created_at, updated_at, tenant_id, plugin_id, plugin_unique_identifier, runtime_type, endpoints_setups, endpoints_active, source, meta) VALUES ('01a20ad3-d0ad-71cb-89dd-5ac85c1630a7', '2026-11-23 23:53:03.405123+00', '2026-11-23 23:53:03.405123+00', '00000000-0000-4000-8000-000000000002', 'conformance/earlier', 'conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'local', 0, 0, 'github', '{"repo":"o/r"}');
INSERT INTO plugin_installations (id, created_at, updated_at, tenant_id, plugin_id, plugin_unique_identifier, runtime_type, endpoints_setups, endpoints_active, source, meta) VALUES ('01a20ad3-cf45-7829-b4d9-a6fffa6a41fe', '2026-11-23 23:53:03.045543+00', '2026-11-23 23:53:03.045543+00', '00000000-0000-4000-8000-000000000001', 'conformance/earlier', 'conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'local', 1, 1, 'marketplace', '{"n":1.5,"plugin_unique_identifier":"conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"}');
INSERT INTO plugins (id, created_at, updated_at, plugin_unique_identifier, plugin_id, refers, install_type, manifest_type, remote_declaration, source) VALUES ('01a20ad3-cf6c-7dc9-830f-cddc5772457e', '2026-11-23 23:53:03.084956+00', '2026-11-23 23:53:03.112882+00', 'conformance/model_kitchen:1.0.0@0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a', 'conformance/model_kitchen', 1, 'local', '', '{"version":"","type":"","author":"","name":"","label":{"en_US":""},"description":{"en_US":""},"icon":"","icon_dark":"","resource":{"memory":0},"plugins":{"tools":null,"models":null,"endpoints":null,"agent_strategies":null,"datasources":null,"triggers":null},"meta":{"version":"","arch":null,"runner":{"language":"","version":"","entrypoint":""},"minimum_dify_version":null},"tags":[],"created_at":"0001-01-01T00:00:00Z","verified":false}', 'marketplace');
INSERT INTO plugins (id, created_at, updated_at, plugin_unique_identifier, plugin_id, refers, install_type, manifest_type, remote_declaration, source) VALUES ('01a20ad3-cf1f-76bd-853e-9d7e35700050', '2026-11-23 23:53:03.007446+00', '2026-11-23 23:53:03.404483+00', 'conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'conformance/earlier', 2, 'local', '', '{"version":"","type":"","author":"","name":"","label":{"en_US":""},"description":{"en_US":""},"icon":"","icon_dark":"","resource":{"memory":0},"plugins":{"tools":null,"models":null,"endpoints":null,"agent_strategies":null,"datasources":null,"triggers":null},"meta":{"version":"","arch":null,"runner":{"language":"","version":"","entrypoint":""},"minimum_dify_version":null},"tags":[],"created_at":"0001-01-01T00:00:00Z","verified":false}', 'marketplace');
INSERT INTO tool_installations (id, created_at, updated_at, tenant_id, provider, plugin_unique_identifier, plugin_id) VALUES ('01a20ad3-cf54-77b5-889a-d28815f96baa', '2026-11-23 23:53:03.060513+00', '2026-11-23 23:53:03.060513+00', '00000000-0000-4000-8000-000000000001', 'kitchen', 'conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'conformance/earlier');
INSERT INTO tool_installations (id, created_at, updated_at, tenant_id, provider, plugin_unique_identifier, plugin_id) VALUES ('01a20ad3-d0ad-7809-b13b-d1f24e0f352e', '2026-11-23 23:53:03.40553+00', '2026-11-23 23:53:03.40553+00', '00000000-0000-4000-8000-000000000002', 'kitchen', 'conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'conformance/earlier');
ALTER TABLE agent_strategy_installations
    ADD CONSTRAINT agent_strategy_installations_pkey PRIMARY KEY (id);
ALTER TABLE ai_model_installations
    ADD CONSTRAINT ai_model_installations_pkey PRIMARY KEY (id);
ALTER TABLE datasource_installations
    ADD CONSTRAINT datasource_installations_pkey PRIMARY KEY (id);
ALTER TABLE endpoints
    ADD CONSTRAINT endpoints_pkey PRIMARY KEY (id);
ALTER TABLE install_tasks
    ADD CONSTRAINT install_tasks_pkey PRIMARY KEY (id);
ALTER TABLE plugin_declarations
    ADD CONSTRAINT plugin_declarations_pkey PRIMARY KEY (id);
ALTER TABLE plugin_installations
    ADD CONSTRAINT plugin_installations_pkey PRIMARY KEY (id);
ALTER TABLE plugin_readme_records
    ADD CONSTRAINT plugin_readme_records_pkey PRIMARY KEY (id);
ALTER TABLE plugins
    ADD CONSTRAINT plugins_pkey PRIMARY KEY (id);
ALTER TABLE serverless_runtimes
    ADD CONSTRAINT serverless_runtimes_pkey PRIMARY KEY (id);
ALTER TABLE tenant_storages
    ADD CONSTRAINT tenant_storages_pkey PRIMARY KEY (id);
ALTER TABLE tool_installations
    ADD CONSTRAINT tool_installations_pkey PRIMARY KEY (id);
ALTER TABLE trigger_installations
    ADD CONSTRAINT trigger_installations_pkey PRIMARY KEY (id);
ALTER TABLE endpoints
    ADD CONSTRAINT uni_endpoints_hook_id UNIQUE (hook_id);
ALTER TABLE plugin_declarations
    ADD CONSTRAINT uni_plugin_declarations_plugin_unique_identifier UNIQUE (plugin_unique_identifier);
ALTER TABLE serverless_runtimes
    ADD CONSTRAINT uni_serverless_runtimes_plugin_unique_identifier UNIQUE (plugin_unique_identifier);
CREATE INDEX idx_agent_strategy_installations_plugin_id ON agent_strategy_installations (plugin_id);
CREATE INDEX idx_agent_strategy_installations_plugin_unique_identifier ON agent_strategy_installations (plugin_unique_identifier);
CREATE INDEX idx_agent_strategy_installations_provider ON agent_strategy_installations (provider);
CREATE INDEX idx_agent_strategy_installations_tenant_id ON agent_strategy_installations (tenant_id);
CREATE INDEX idx_ai_model_installations_plugin_id ON ai_model_installations (plugin_id);
CREATE INDEX idx_ai_model_installations_plugin_unique_identifier ON ai_model_installations (plugin_unique_identifier);
CREATE INDEX idx_ai_model_installations_provider ON ai_model_installations (provider);
CREATE INDEX idx_ai_model_installations_tenant_id ON ai_model_installations (tenant_id);
CREATE INDEX idx_datasource_installations_plugin_id ON datasource_installations (plugin_id);
CREATE INDEX idx_datasource_installations_plugin_unique_identifier ON datasource_installations (plugin_unique_identifier);
CREATE INDEX idx_datasource_installations_provider ON datasource_installations (provider);
CREATE INDEX idx_datasource_installations_tenant_id ON datasource_installations (tenant_id);
CREATE INDEX idx_endpoints_plugin_id ON endpoints (plugin_id);
CREATE INDEX idx_endpoints_tenant_id ON endpoints (tenant_id);
CREATE INDEX idx_endpoints_user_id ON endpoints (user_id);
CREATE INDEX idx_install_tasks_status ON install_tasks (status);
CREATE INDEX idx_plugin_declarations_plugin_id ON plugin_declarations (plugin_id);
CREATE INDEX idx_plugin_installations_plugin_id ON plugin_installations (plugin_id);
CREATE INDEX idx_plugin_installations_plugin_unique_identifier ON plugin_installations (plugin_unique_identifier);
CREATE INDEX idx_plugin_installations_tenant_id ON plugin_installations (tenant_id);
CREATE INDEX idx_plugin_readme_records_plugin_unique_identifier ON plugin_readme_records (plugin_unique_identifier);
CREATE UNIQUE INDEX idx_plugin_unique_identifier ON plugins (plugin_unique_identifier);
CREATE INDEX idx_plugins_install_type ON plugins (install_type);
CREATE INDEX idx_plugins_plugin_id ON plugins (plugin_id);
CREATE INDEX idx_serverless_runtimes_checksum ON serverless_runtimes (checksum);
CREATE UNIQUE INDEX idx_tenant_plugin ON plugin_installations (tenant_id, plugin_id);
CREATE INDEX idx_tenant_storages_plugin_id ON tenant_storages (plugin_id);
CREATE INDEX idx_tenant_storages_tenant_id ON tenant_storages (tenant_id);
CREATE INDEX idx_tool_installations_plugin_id ON tool_installations (plugin_id);
CREATE INDEX idx_tool_installations_plugin_unique_identifier ON tool_installations (plugin_unique_identifier);
CREATE INDEX idx_tool_installations_provider ON tool_installations (provider);
CREATE INDEX idx_tool_installations_tenant_id ON tool_installations (tenant_id);
CREATE INDEX idx_trigger_installations_plugin_id ON trigger_installations (plugin_id);
CREATE INDEX idx_trigger_installations_plugin_unique_identifier ON trigger_installations (plugin_unique_identifier);
CREATE INDEX idx_trigger_installations_provider ON trigger_installations (provider);
CREATE INDEX idx_trigger_installations_tenant_id ON trigger_installations (tenant_id);
INSERT INTO plugin_declarations (id, created_at, updated_at, plugin_unique_identifier, plugin_id, declaration) VALUES ('01a20ad3-c31e-73b0-87ea-9de11ffc9bae', '2026-11-23 23:52:59.934315+00', '2026-11-23 23:52:59.934315+00', 'conformance/earlier:0.8.0@0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'conformance/earlier', '{"version":"0.8.0","type":"plugin","author":"conformance","name":"earlier","path":"/item/\u003cname\u003e"}');
INSERT INTO tenant_storages (id, created_at, updated_at, tenant_id, plugin_id, size) VALUES ('01a20ad3-c31e-73b0-87ea-9de11ffc9baf', '2026-11-23 23:52:59.934315+00', '2026-11-23 23:52:59.934315+00', '00000000-0000-4000-8000-000000000001', 'conformance/earlier', 12);
