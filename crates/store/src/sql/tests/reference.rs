//! Databases that the reference left, and what it needs to go on with them.

use super::servers::{MYSQL, POSTGRES};
use super::{install, open, tenant, version};
use crate::sql::statement::sql;
use crate::{
    Category, Database, DatabaseConfig, NewEndpoint, NewServerlessRuntime, NewTask, Page, RawJson, Readme, Reservation,
    RuntimeType, TaskItem, TaskStatus, new_id,
};

const REFERENCE: &str = include_str!("reference.sql");
const PLUGIN: &str = "conformance/earlier";

#[derive(Clone, Copy)]
enum Kind {
    Postgres,
    MySql,
}

impl Kind {
    /// What the reference leaves there. For MySQL it is PostgreSQL's with the types of lifecycle-and-storage 3.3.
    fn reference(self) -> String {
        match self {
            Self::Postgres => REFERENCE.to_owned(),
            Self::MySql => to_mysql(REFERENCE),
        }
    }

    /// Runs a script on an empty database; `None` without a server.
    async fn left_by(self, script: &str) -> Option<DatabaseConfig> {
        let server = match self {
            Self::Postgres => &POSTGRES,
            Self::MySql => &MYSQL,
        };
        let config = server.new_database().await?;
        let database = open(&config).await;
        let empty = match &config {
            DatabaseConfig::MySql(server) => {
                let name = &server.database;
                format!("DROP DATABASE `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4; USE `{name}`")
            }
            _ => "DROP SCHEMA public CASCADE; CREATE SCHEMA public".to_owned(),
        };
        run(&database, &format!("{empty};\n{script}")).await;
        database.close().await;
        Some(config)
    }
}

fn to_mysql(script: &str) -> String {
    let types = [
        (" uuid", " char(36)"),
        ("timestamp with time zone", "datetime(3)"),
        ("character varying", "varchar"),
        ("::varchar", ""),
        (" text", " longtext"),
        ("+00'", "'"),
    ];
    let script = types.iter().fold(script.to_owned(), |script, (theirs, mysqls)| script.replace(theirs, mysqls));
    format!("SET sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES');\n{script}")
}

async fn run(database: &Database, script: &str) {
    database.sql.pool.0.script(script).await.unwrap();
}

/// Columns, indexes and constraints, a line each.
async fn catalog(kind: Kind, database: &Database) -> Vec<String> {
    let query = match kind {
        Kind::MySql => {
            "SELECT concat_ws(' ', table_name, column_name, column_type, \
                 IF(is_nullable = 'NO', 'required', NULL), IF(column_default = 'NULL', NULL, column_default)) AS line \
             FROM information_schema.columns WHERE table_schema = DATABASE() \
             UNION ALL SELECT concat_ws(' ', table_name, index_name, \
                 IF(MAX(non_unique) = 0, 'unique', NULL), GROUP_CONCAT(column_name ORDER BY seq_in_index)) \
             FROM information_schema.statistics WHERE table_schema = DATABASE() GROUP BY table_name, index_name ORDER BY 1"
        }
        Kind::Postgres => {
            "SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, \
                 CASE WHEN is_nullable = 'NO' THEN 'required' END, column_default) AS line \
             FROM information_schema.columns WHERE table_schema = 'public' \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1"
        }
    };
    database.sql.rows(sql(query)).await.unwrap().iter().map(|row| row.text("line").unwrap()).collect()
}

async fn our_tables_are_the_references(kind: Kind) {
    let Some(config) = kind.left_by("").await else { return };
    let ours = catalog(kind, &open(&config).await).await;
    let Some(config) = kind.left_by(&kind.reference()).await else { return };
    assert_eq!(catalog(kind, &open(&config).await).await, ours, "adopted");

    let Some(config) = kind.left_by(&kind.reference()).await else { return };
    let database = open(&config).await;
    let drop_index = |index: &str, table: &str| match kind {
        Kind::Postgres => format!("DROP INDEX {index};"),
        Kind::MySql => format!("DROP INDEX {index} ON {table};"),
    };
    let additions = [
        "DROP TABLE install_jobs;".to_owned(),
        "DROP TABLE key_uses;".to_owned(),
        drop_index("idx_install_tasks_tenant_id", "install_tasks"),
        drop_index("idx_tenant_storages_tenant_plugin", "tenant_storages"),
    ];
    run(&database, &additions.concat()).await;
    let references = catalog(kind, &database).await;
    let is_additional = |line: &&String| ["install_jobs", "key_uses"].iter().any(|table| line.contains(table));
    let common: Vec<_> = ours.iter().filter(|line| !is_additional(line)).collect();
    let ours_alone: Vec<_> = common.iter().filter(|line| !references.contains(line)).collect();
    assert_eq!(ours_alone.len(), 2, "{ours_alone:#?}");
    assert_eq!(references.iter().filter(|line| !ours.contains(line)).collect::<Vec<_>>(), Vec::<&String>::new());
}

async fn its_rows_are_read_and_changed(kind: Kind) {
    let Some(config) = kind.left_by(&kind.reference()).await else { return };
    let database = open(&config).await;
    let (list, total) = database.installations.list(tenant(1), Page { number: 1, size: 10 }).await.unwrap();
    assert_eq!((list.len(), total), (2, 2));
    let installation = list.iter().find(|row| row.plugin_id == PLUGIN).unwrap();
    assert_eq!(installation.runtime_type, RuntimeType::Local);
    assert_eq!((installation.endpoints_setups, installation.endpoints_active), (1, 1));
    let created_at = match kind {
        Kind::Postgres => "2026-11-23T23:53:03.045543Z",
        Kind::MySql => "2026-11-23T23:53:03.045Z",
    };
    assert_eq!(installation.created_at.to_string(), created_at);
    assert!(installation.meta.as_ref().unwrap().as_str().starts_with(r#"{"n":1.5,"#));

    let version = &installation.plugin_unique_identifier;
    let plugin = database.plugins.get(version).await.unwrap().unwrap();
    assert_eq!(plugin.refers, 2);
    let declaration = database.declarations.get(version).await.unwrap().unwrap();
    assert!(declaration.declaration.as_str().ends_with(r#""/item/\u003cname\u003e"}"#));
    assert_eq!(database.declarations.remote(version).await.unwrap(), None);
    assert_eq!(database.providers.all(Category::Tool, tenant(1)).await.unwrap()[0].provider, "kitchen");
    assert_eq!(database.providers.all(Category::Model, tenant(1)).await.unwrap()[0].provider, "kitchen");

    let tasks = database.tasks.list(tenant(1), Page { number: 1, size: 10 }).await.unwrap();
    let statuses: Vec<_> = tasks.iter().map(|task| (task.status, task.plugins.len())).collect();
    assert_eq!(statuses, [(TaskStatus::Failed, 1), (TaskStatus::Success, 2)]);
    assert_eq!(tasks[1].plugins[0].labels["zh_Hans"], "工具厨房");

    let endpoint = database.endpoints.by_hook("1ond39d3b9o8b4vz").await.unwrap().unwrap();
    assert_eq!((endpoint.tenant_id, endpoint.enabled), (tenant(1), true));
    let reserved = database.storage_usage.reserve(tenant(1), PLUGIN, 8, 20).await.unwrap();
    assert_eq!((reserved, database.storage_usage.size(tenant(1), PLUGIN).await.unwrap()), (Reservation::Reserved, 20));

    let removed = database.installations.uninstall(tenant(1), installation.id).await.unwrap().unwrap();
    assert!(!removed.plugin_gone);
    assert_eq!(database.plugins.get(version).await.unwrap().unwrap().refers, 1);
}

/// The reference writes beside us, and finds in our rows what it writes itself.
async fn both_go_on_with_it(kind: Kind) {
    let Some(config) = kind.left_by(&kind.reference()).await else { return };
    let database = open(&config).await;
    let (ours, identifier) = (tenant(9), version("a/p", "1.0.0"));
    let declaration = RawJson::new(r#"{"version":"1.0.0"}"#).unwrap();
    database.declarations.put_if_absent(&identifier, "a/p", &declaration).await.unwrap();
    install(&database, ours, "a/p", &identifier).await;
    let settings = RawJson::new("{}").unwrap();
    let endpoint = NewEndpoint {
        id: new_id(),
        tenant_id: ours,
        user_id: "user",
        plugin_id: "a/p",
        name: "hook",
        settings: &settings,
    };
    database.endpoints.create(&endpoint).await.unwrap();
    let task = NewTask { tenant_id: ours, items: vec![TaskItem::default()], jobs: Vec::new() };
    database.tasks.create(task).await.unwrap();
    database.storage_usage.reserve(ours, "a/p", 5, 10).await.unwrap();
    let readme = Readme { language: "en_US".to_owned(), content: "# Hello".to_owned() };
    database.readmes.put(&identifier, &[readme]).await.unwrap();
    let function = NewServerlessRuntime {
        unique_identifier: &identifier,
        function_url: "http://f",
        function_name: "f",
        checksum: "0",
    };
    database.serverless.upsert(&function).await.unwrap();

    // 3.2: there is NULL only where a JSON object is missing
    let columns = "SELECT table_name AS a_table, column_name AS a_column FROM information_schema.columns \
         WHERE table_schema = ";
    let columns = match kind {
        Kind::Postgres => {
            columns.replace("table_name", "table_name::text").replace("column_name", "column_name::text")
                + "current_schema()"
        }
        Kind::MySql => columns.to_owned() + "DATABASE()",
    };
    let mut with_null = Vec::new();
    for row in database.sql.rows(sql(columns)).await.unwrap() {
        let (table, column) = (row.text("a_table").unwrap(), row.text("a_column").unwrap());
        let nulls = sql(format!("SELECT count(*) AS rows_of_it FROM {table} WHERE {column} IS NULL"));
        if table != "install_jobs" && database.sql.row(nulls).await.unwrap().unwrap().int("rows_of_it").unwrap() > 0 {
            with_null.push(format!("{table}.{column}"));
        }
    }
    with_null.sort_unstable();
    assert_eq!(with_null, ["plugin_installations.meta", "plugins.remote_declaration"]);

    let inserts: String = kind.reference().lines().filter(|line| line.starts_with("INSERT")).collect();
    let again = [
        ("01a20ad3-", "01a20ad4-"),
        ("00000000-0000-4000-8000-00000000000", "00000000-0000-4000-8000-0000000000a"),
        ("conformance/", "again/"),
        ("1ond39d3b9o8b4vz", "1ond39d3b9o8b4va"),
    ];
    let inserts = again.iter().fold(inserts, |text, (old, new)| text.replace(old, new));
    let mode = if matches!(kind, Kind::MySql) { to_mysql("") } else { String::new() };
    run(&database, &(mode + &inserts)).await;
    assert_eq!(database.installations.count(tenant(0xa1)).await.unwrap(), 2);
    let installation = database.installations.find(tenant(0xa1), "again/earlier").await.unwrap().unwrap();
    assert_eq!(database.plugins.get(&installation.plugin_unique_identifier).await.unwrap().unwrap().refers, 2);
    assert_eq!(open(&config).await.installations.count(ours).await.unwrap(), 1);
}

#[tokio::test]
async fn remains_of_older_versions_are_tolerated() {
    let legacy = [
        REFERENCE,
        "ALTER TABLE plugins ADD COLUMN declaration text NOT NULL DEFAULT '';",
        "ALTER TABLE tool_installations ADD COLUMN declaration text NOT NULL DEFAULT '';",
        "ALTER TABLE plugins ALTER COLUMN declaration DROP DEFAULT;",
        "ALTER TABLE tool_installations ALTER COLUMN declaration DROP DEFAULT;",
        "CREATE TABLE plugin_readmes (id uuid PRIMARY KEY, tenant_id uuid);",
        "DROP INDEX idx_tenant_plugin;",
        "DROP TABLE datasource_installations;",
        "INSERT INTO plugin_installations SELECT gen_random_uuid(), created_at, updated_at, tenant_id, plugin_id, \
             plugin_unique_identifier, runtime_type, endpoints_setups, endpoints_active, source, meta \
         FROM plugin_installations;",
    ]
    .join("\n");
    let Some(config) = Kind::Postgres.left_by(&legacy).await else { return };
    let database = open(&config).await;
    let lines = catalog(Kind::Postgres, &database).await;
    assert!(lines.iter().any(|line| line.starts_with("datasource_installations provider")));
    assert!(!lines.iter().any(|line| line.contains("idx_tenant_plugin ")), "duplicates are in its way");
    install(&database, tenant(9), "a/p", &version("a/p", "1.0.0")).await;

    run(&database, "DELETE FROM plugin_installations WHERE tenant_id <> '00000000-0000-4000-8000-000000000009'").await;
    let lines = catalog(Kind::Postgres, &open(&config).await).await;
    assert!(lines.iter().any(|line| line.contains("idx_tenant_plugin ")));
}

#[tokio::test]
async fn a_pooler_may_stand_between() {
    let Some(DatabaseConfig::Postgres(mut server)) = Kind::Postgres.left_by(REFERENCE).await else { return };
    server.pooled_by_server = true;
    server.options = "-c statement_timeout=20s".to_owned();
    let database = open(&DatabaseConfig::Postgres(server)).await;
    assert_eq!(database.installations.count(tenant(1)).await.unwrap(), 2);
    let prepared = sql("SELECT count(*) AS statements FROM pg_prepared_statements");
    install(&database, tenant(9), "a/p", &version("a/p", "1.0.0")).await;
    let statements = database.sql.row(prepared).await.unwrap().unwrap().int("statements").unwrap();
    assert_eq!(statements, 0, "nothing outlives a transaction");
}

mod on_postgres {
    use super::Kind::Postgres;

    #[tokio::test]
    async fn our_tables_are_the_references() {
        super::our_tables_are_the_references(Postgres).await;
    }

    #[tokio::test]
    async fn its_rows_are_read_and_changed() {
        super::its_rows_are_read_and_changed(Postgres).await;
    }

    #[tokio::test]
    async fn both_go_on_with_it() {
        super::both_go_on_with_it(Postgres).await;
    }
}

mod on_mysql {
    use super::Kind::MySql;

    #[tokio::test]
    async fn our_tables_are_the_references() {
        super::our_tables_are_the_references(MySql).await;
    }

    #[tokio::test]
    async fn its_rows_are_read_and_changed() {
        super::its_rows_are_read_and_changed(MySql).await;
    }

    #[tokio::test]
    async fn both_go_on_with_it() {
        super::both_go_on_with_it(MySql).await;
    }
}
