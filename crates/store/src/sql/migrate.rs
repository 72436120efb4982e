//! Brings a database up to date: whatever [`schema`](super::schema) has and the database lacks is added; nothing is
//! dropped or altered, whoever made it. A complete database is not written to, so opening it needs no right to change
//! tables.

use std::collections::{HashMap, HashSet};

use super::connection::Tx;
use super::dialect::Dialect;
use super::row::Row;
use super::schema::{Index, LEGACY_DECLARATION, TABLES, Table, Unique};
use super::statement::sql;
use super::{Sql, retry};
use crate::Result;

pub(super) async fn run(database: &Sql) -> Result<()> {
    if pending(database).await?.is_empty() { Ok(()) } else { retry(|| apply(database)).await }
}

/// What [`run`] would add.
pub(super) async fn pending(database: &Sql) -> Result<Vec<Change>> {
    let columns = database.rows(sql(columns_query(database.dialect))).await?;
    let indexes = database.rows(sql(indexes_query(database.dialect))).await?;
    Ok(changes(&catalog_of(&columns, &indexes)?, database.dialect))
}

/// What a database has. Names are as the database keeps them: lower case.
struct Catalog {
    /// Columns by table, true if they accept NULL.
    tables: HashMap<String, HashMap<String, bool>>,
    indexes: HashSet<String>,
}

#[derive(Debug)]
pub(super) enum Change {
    Statement(String),
    /// On a table with rows, which may be in its way.
    UniqueIndex(&'static Table, &'static Index),
}

async fn apply(database: &Sql) -> Result<()> {
    let dialect = database.dialect;
    let mut tx = database.begin().await?;
    // Nodes that start at the same time wait for each other here. MySQL commits with every change of a table, so its
    // lock is not the transaction's.
    match dialect {
        Dialect::Sqlite => {}
        Dialect::Postgres => drop(tx.rows(sql("SELECT pg_advisory_xact_lock(5003)::text")).await?),
        Dialect::MySql => drop(tx.rows(sql("SELECT GET_LOCK('plugin_store_migration', 60)")).await?),
    }
    let result = add_missing(&mut tx, dialect).await;
    if dialect == Dialect::MySql {
        tx.rows(sql("SELECT RELEASE_LOCK('plugin_store_migration')")).await?;
    }
    result?;
    tx.commit().await
}

async fn add_missing(tx: &mut Tx, dialect: Dialect) -> Result<()> {
    // Read again under the lock.
    let columns = tx.rows(sql(columns_query(dialect))).await?;
    let indexes = tx.rows(sql(indexes_query(dialect))).await?;
    let catalog = catalog_of(&columns, &indexes)?;
    for change in changes(&catalog, dialect) {
        match change {
            Change::Statement(text) => drop(tx.execute(sql(text)).await?),
            Change::UniqueIndex(table, index) => {
                let Index { name, columns, .. } = index;
                let table_name = table.name;
                let duplicates = format!(
                    "SELECT count(*) AS rows_of_one FROM {table_name} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"
                );
                if tx.row(sql(duplicates)).await?.is_some() {
                    tracing::warn!(
                        table = table_name,
                        index = name,
                        columns,
                        "a unique index cannot be added because rows are duplicated: remove the duplicates and restart"
                    );
                    continue;
                }
                tx.execute(sql(index.create(table_name, dialect))).await?;
            }
        }
    }
    Ok(())
}

fn columns_query(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "SELECT m.name AS table_name, c.name AS column_name, c.\"notnull\" = 0 AS accepts_null \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
        Dialect::Postgres => {
            "SELECT table_name::text, column_name::text, is_nullable = 'YES' AS accepts_null \
             FROM information_schema.columns WHERE table_schema = current_schema()"
        }
        Dialect::MySql => {
            "SELECT CAST(table_name AS CHAR) AS table_name, CAST(column_name AS CHAR) AS column_name, \
             is_nullable = 'YES' AS accepts_null FROM information_schema.columns WHERE table_schema = DATABASE()"
        }
    }
}

fn indexes_query(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "SELECT name AS index_name FROM sqlite_master WHERE type = 'index'",
        Dialect::Postgres => "SELECT indexname::text AS index_name FROM pg_indexes WHERE schemaname = current_schema()",
        Dialect::MySql => {
            "SELECT DISTINCT CAST(index_name AS CHAR) AS index_name FROM information_schema.statistics \
             WHERE table_schema = DATABASE()"
        }
    }
}

fn catalog_of(columns: &[Row], indexes: &[Row]) -> Result<Catalog> {
    let mut tables: HashMap<String, HashMap<String, bool>> = HashMap::new();
    for row in columns {
        let table = row.text("table_name")?.to_lowercase();
        tables.entry(table).or_default().insert(row.text("column_name")?.to_lowercase(), row.flag("accepts_null")?);
    }
    let indexes = indexes.iter().map(|row| row.text("index_name").map(|name| name.to_lowercase()));
    Ok(Catalog { tables, indexes: indexes.collect::<Result<_>>()? })
}

fn changes(catalog: &Catalog, dialect: Dialect) -> Vec<Change> {
    let mut changes = Vec::new();
    for table in TABLES {
        let Some(present) = catalog.tables.get(table.name) else {
            changes.extend(table.create(dialect).into_iter().map(Change::Statement));
            continue;
        };
        for column in table.columns().filter(|column| !present.contains_key(column.name)) {
            let addition = column.addition(dialect);
            changes.push(Change::Statement(format!("ALTER TABLE {} ADD COLUMN {addition}", table.name)));
        }
        for index in table.indexes.iter().filter(|index| !catalog.indexes.contains(index.name)) {
            changes.push(match index.unique {
                Unique::No => Change::Statement(index.create(table.name, dialect)),
                Unique::Index | Unique::Constraint => Change::UniqueIndex(table, index),
            });
        }
    }
    for table in LEGACY_DECLARATION {
        let accepts_null = catalog.tables.get(*table).and_then(|columns| columns.get("declaration"));
        if accepts_null == Some(&false) {
            let change = match dialect {
                // SQLite never had the column.
                Dialect::Sqlite => continue,
                Dialect::Postgres => "ALTER COLUMN declaration DROP NOT NULL",
                Dialect::MySql => "MODIFY COLUMN declaration longtext NULL",
            };
            changes.push(Change::Statement(format!("ALTER TABLE {table} {change}")));
        }
    }
    changes
}
