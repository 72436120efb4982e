//! Databases that the reference left.

use sqlx::AssertSqlSafe;

use super::servers::{Missing, POSTGRES};
use super::{open, tenant};
use crate::sql::connection::Pool;
use crate::sql::statement::sql;
use crate::{Category, Database, DatabaseConfig, Page, Reservation, RuntimeType, TaskStatus};

const REFERENCE: &str = include_str!("reference.sql");
const PLUGIN: &str = "conformance/earlier";

/// Runs a script on an empty database; `None` without a server.
async fn left_by(script: &str) -> Option<DatabaseConfig> {
    let config = match POSTGRES.new_database().await {
        Ok(config) => config,
        Err(Missing::NotInstalled(reason)) => {
            eprintln!("skipped: {reason}");
            return None;
        }
        Err(Missing::NotStarted(reason)) => panic!("the server did not start: {reason}"),
    };
    let database = open(&config).await;
    run(&database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    run(&database, script).await;
    database.close().await;
    Some(config)
}

async fn run(database: &Database, script: &str) {
    match &database.sql.pool {
        Pool::Postgres(server) => drop(sqlx::raw_sql(AssertSqlSafe(script)).execute(&server.pool).await.unwrap()),
        #[cfg(any(feature = "sqlite", feature = "mysql"))]
        other => panic!("not PostgreSQL: {other:?}"),
    }
}

/// Columns, indexes and constraints, a line each.
async fn catalog(database: &Database) -> Vec<String> {
    let query = sql("SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, \
             CASE WHEN is_nullable = 'NO' THEN 'required' END, column_default) AS line \
         FROM information_schema.columns WHERE table_schema = 'public' \
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
         UNION ALL SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1");
    database.sql.rows(query).await.unwrap().iter().map(|row| row.text("line").unwrap()).collect()
}

#[tokio::test]
async fn our_tables_are_the_references() {
    let Some(config) = left_by("").await else { return };
    let ours = catalog(&open(&config).await).await;
    let Some(config) = left_by(REFERENCE).await else { return };
    assert_eq!(catalog(&open(&config).await).await, ours, "adopted");

    let Some(config) = left_by(REFERENCE).await else { return };
    let database = open(&config).await;
    run(
        &database,
        "DROP TABLE install_jobs; DROP INDEX idx_install_tasks_tenant_id; DROP INDEX idx_tenant_storages_tenant_plugin",
    )
    .await;
    let additions: Vec<_> = ours.iter().filter(|line| !line.contains("install_jobs")).cloned().collect();
    let references = catalog(&database).await;
    let ours_alone: Vec<_> = additions.iter().filter(|line| !references.contains(line)).collect();
    assert_eq!(ours_alone.len(), 2, "{ours_alone:#?}");
    assert_eq!(references.iter().filter(|line| !ours.contains(line)).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn its_rows_are_read_and_changed() {
    let Some(config) = left_by(REFERENCE).await else { return };
    let database = open(&config).await;
    let (list, total) = database.installations.list(tenant(1), Page { number: 1, size: 10 }).await.unwrap();
    assert_eq!((list.len(), total), (2, 2));
    let installation = list.iter().find(|row| row.plugin_id == PLUGIN).unwrap();
    assert_eq!(installation.runtime_type, RuntimeType::Local);
    assert_eq!((installation.endpoints_setups, installation.endpoints_active), (1, 1));
    assert_eq!(installation.created_at.to_string(), "2026-11-23T23:53:03.045543Z");
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
    let Some(config) = left_by(&legacy).await else { return };
    let database = open(&config).await;
    let lines = catalog(&database).await;
    assert!(lines.iter().any(|line| line.starts_with("datasource_installations provider")));
    assert!(!lines.iter().any(|line| line.contains("idx_tenant_plugin ")), "duplicates are in its way");
    super::install(&database, tenant(9), "a/p", &super::version("a/p", "1.0.0")).await;

    run(&database, "DELETE FROM plugin_installations WHERE tenant_id <> '00000000-0000-4000-8000-000000000009'").await;
    let lines = catalog(&open(&config).await).await;
    assert!(lines.iter().any(|line| line.contains("idx_tenant_plugin ")));
}

#[tokio::test]
async fn a_pooler_may_stand_between() {
    let Some(DatabaseConfig::Postgres(mut server)) = left_by(REFERENCE).await else { return };
    server.pooled_by_server = true;
    server.options = "-c statement_timeout=20s".to_owned();
    let database = open(&DatabaseConfig::Postgres(server)).await;
    assert_eq!(database.installations.count(tenant(1)).await.unwrap(), 2);
    let prepared = sql("SELECT count(*) AS statements FROM pg_prepared_statements");
    super::install(&database, tenant(9), "a/p", &super::version("a/p", "1.0.0")).await;
    let statements = database.sql.row(prepared).await.unwrap().unwrap().int("statements").unwrap();
    assert_eq!(statements, 0, "nothing outlives a transaction");
}
