//! The tables (lifecycle-and-storage 3.3) as data: names and types are the reference's, so that either daemon can open
//! the other's database.

use super::dialect::Dialect;

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Time,
    /// At most this number of characters.
    Text(u16),
    Long,
    Int,
    Flag,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    kind: Kind,
    required: bool,
    default: Option<&'static str>,
}

/// How an index constrains its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unique {
    No,
    /// A unique index.
    Index,
    /// A unique constraint, where the database distinguishes it from an index.
    Constraint,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) columns: &'static str,
    pub(super) unique: Unique,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// After `id`, `created_at` and `updated_at`, which every table starts with.
    own_columns: &'static [Column],
    pub(super) indexes: &'static [Index],
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: false, default: None }
}

const fn required(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: true, default: None }
}

const fn defaulted(name: &'static str, kind: Kind, default: &'static str) -> Column {
    Column { name, kind, required: false, default: Some(default) }
}

const fn index(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns, unique: Unique::No }
}

const fn unique(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns, unique: Unique::Index }
}

const fn constraint(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns, unique: Unique::Constraint }
}

const COMMON: [Column; 3] =
    [required("id", Kind::Id), column("created_at", Kind::Time), column("updated_at", Kind::Time)];

/// A table of provider rows; `$columns` is in the order of the reference.
macro_rules! providers {
    ($name:literal) => {
        Table {
            name: $name,
            own_columns: &[
                required("tenant_id", Kind::Id),
                required("provider", Kind::Text(127)),
                column("plugin_unique_identifier", Kind::Text(255)),
                column("plugin_id", Kind::Text(255)),
            ],
            indexes: &[
                index(concat!("idx_", $name, "_tenant_id"), "tenant_id"),
                index(concat!("idx_", $name, "_provider"), "provider"),
                index(concat!("idx_", $name, "_plugin_unique_identifier"), "plugin_unique_identifier"),
                index(concat!("idx_", $name, "_plugin_id"), "plugin_id"),
            ],
        }
    };
}

/// All tables. What the reference does not know is additive: it neither reads nor drops it.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "plugins",
        own_columns: &[
            column("plugin_unique_identifier", Kind::Text(255)),
            column("plugin_id", Kind::Text(255)),
            defaulted("refers", Kind::Int, "0"),
            column("install_type", Kind::Text(127)),
            column("manifest_type", Kind::Text(127)),
            column("remote_declaration", Kind::Long),
            defaulted("source", Kind::Text(63), "''"),
        ],
        indexes: &[
            unique("idx_plugin_unique_identifier", "plugin_unique_identifier"),
            index("idx_plugins_plugin_id", "plugin_id"),
            index("idx_plugins_install_type", "install_type"),
        ],
    },
    Table {
        name: "plugin_installations",
        own_columns: &[
            column("tenant_id", Kind::Id),
            column("plugin_id", Kind::Text(255)),
            column("plugin_unique_identifier", Kind::Text(255)),
            column("runtime_type", Kind::Text(127)),
            column("endpoints_setups", Kind::Int),
            column("endpoints_active", Kind::Int),
            column("source", Kind::Text(63)),
            column("meta", Kind::Long),
        ],
        indexes: &[
            unique("idx_tenant_plugin", "tenant_id, plugin_id"),
            index("idx_plugin_installations_tenant_id", "tenant_id"),
            index("idx_plugin_installations_plugin_id", "plugin_id"),
            index("idx_plugin_installations_plugin_unique_identifier", "plugin_unique_identifier"),
        ],
    },
    Table {
        name: "plugin_declarations",
        own_columns: &[
            column("plugin_unique_identifier", Kind::Text(255)),
            column("plugin_id", Kind::Text(255)),
            column("declaration", Kind::Long),
        ],
        indexes: &[
            constraint("uni_plugin_declarations_plugin_unique_identifier", "plugin_unique_identifier"),
            index("idx_plugin_declarations_plugin_id", "plugin_id"),
        ],
    },
    Table {
        name: "endpoints",
        own_columns: &[
            defaulted("name", Kind::Text(127), "'default'"),
            column("hook_id", Kind::Text(127)),
            column("tenant_id", Kind::Text(64)),
            column("user_id", Kind::Text(64)),
            column("plugin_id", Kind::Text(64)),
            column("expired_at", Kind::Time),
            column("enabled", Kind::Flag),
            column("settings", Kind::Long),
        ],
        indexes: &[
            constraint("uni_endpoints_hook_id", "hook_id"),
            index("idx_endpoints_tenant_id", "tenant_id"),
            index("idx_endpoints_user_id", "user_id"),
            index("idx_endpoints_plugin_id", "plugin_id"),
        ],
    },
    Table {
        name: "serverless_runtimes",
        own_columns: &[
            column("plugin_unique_identifier", Kind::Text(255)),
            column("function_url", Kind::Text(255)),
            column("function_name", Kind::Text(127)),
            column("type", Kind::Text(127)),
            column("checksum", Kind::Text(127)),
        ],
        indexes: &[
            constraint("uni_serverless_runtimes_plugin_unique_identifier", "plugin_unique_identifier"),
            index("idx_serverless_runtimes_checksum", "checksum"),
        ],
    },
    providers!("tool_installations"),
    providers!("ai_model_installations"),
    providers!("agent_strategy_installations"),
    providers!("datasource_installations"),
    providers!("trigger_installations"),
    Table {
        name: "install_tasks",
        own_columns: &[
            required("status", Kind::Text(50)),
            required("tenant_id", Kind::Id),
            required("total_plugins", Kind::Int),
            required("completed_plugins", Kind::Int),
            column("plugins", Kind::Long),
        ],
        indexes: &[
            index("idx_install_tasks_status", "status"),
            // Additive: every look-up of tasks is by tenant.
            index("idx_install_tasks_tenant_id", "tenant_id"),
        ],
    },
    Table {
        name: "tenant_storages",
        own_columns: &[
            required("tenant_id", Kind::Text(255)),
            required("plugin_id", Kind::Text(255)),
            required("size", Kind::Int),
        ],
        indexes: &[
            index("idx_tenant_storages_tenant_id", "tenant_id"),
            index("idx_tenant_storages_plugin_id", "plugin_id"),
            // Additive: two first writes at a time must not make two rows.
            unique("idx_tenant_storages_tenant_plugin", "tenant_id, plugin_id"),
        ],
    },
    Table {
        name: "plugin_readme_records",
        own_columns: &[
            required("plugin_unique_identifier", Kind::Text(255)),
            required("language", Kind::Text(10)),
            required("content", Kind::Long),
        ],
        indexes: &[index("idx_plugin_readme_records_plugin_unique_identifier", "plugin_unique_identifier")],
    },
    // Additive: the work behind install_tasks, so that it survives the process.
    Table {
        name: "install_jobs",
        own_columns: &[
            required("task_id", Kind::Id),
            required("tenant_id", Kind::Id),
            required("kind", Kind::Text(16)),
            required("plugin_unique_identifier", Kind::Text(255)),
            column("original_unique_identifier", Kind::Text(255)),
            required("runtime_type", Kind::Text(127)),
            column("source", Kind::Text(63)),
            column("meta", Kind::Long),
            column("traceparent", Kind::Text(63)),
            required("attempts", Kind::Int),
            required("due_at", Kind::Time),
            column("lease_owner", Kind::Text(127)),
            column("lease_ends_at", Kind::Time),
        ],
        indexes: &[
            index("idx_install_jobs_task_id", "task_id"),
            index("idx_install_jobs_plugin_unique_identifier", "plugin_unique_identifier"),
            index("idx_install_jobs_due_at", "due_at"),
        ],
    },
    // Additive: daemons with different keys on one database are noticed.
    Table {
        name: "key_uses",
        own_columns: &[
            required("variable", Kind::Text(127)),
            required("fingerprint", Kind::Text(64)),
            required("used_by", Kind::Text(255)),
        ],
        indexes: &[unique("idx_key_uses_variable", "variable")],
    },
];

/// Tables that may have a column `declaration` from before the declarations moved to a table of their own; it is no
/// longer written, so it must accept NULL (lifecycle-and-storage 3.4).
pub(super) const LEGACY_DECLARATION: &[&str] = &[
    "plugins",
    "serverless_runtimes",
    "tool_installations",
    "ai_model_installations",
    "agent_strategy_installations",
    "trigger_installations",
];

impl Table {
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        COMMON.iter().chain(self.own_columns)
    }

    /// The statements that create the table with its indexes.
    pub(super) fn create(&self, dialect: &dyn Dialect) -> Vec<String> {
        let columns = self.columns().map(|column| column.definition(dialect));
        let columns: Vec<String> = columns.chain(["PRIMARY KEY (id)".to_owned()]).collect();
        dialect.create_table(self.name, &columns, self.indexes)
    }
}

impl Column {
    /// `name type [NOT NULL] [DEFAULT ...]`.
    pub(super) fn definition(&self, dialect: &dyn Dialect) -> String {
        let kind = dialect.column_type(self.kind);
        let required = if self.required { " NOT NULL" } else { "" };
        let default = self.default.map(|value| format!(" DEFAULT {value}")).unwrap_or_default();
        format!("{} {kind}{required}{default}", self.name)
    }

    /// The same for a table that has rows: no column that is required but has nothing to fill them with.
    pub(super) fn addition(&self, dialect: &dyn Dialect) -> String {
        Self { required: self.required && self.default.is_some(), ..*self }.definition(dialect)
    }
}
