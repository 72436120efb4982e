//! Brings a database up to date: what [`schema`](super::schema) has and the database lacks is added; nothing is dropped or
//! altered. A complete database is not written to, so opening it needs no right to change tables.

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
    let columns = database.rows(sql(database.dialect.columns_query())).await?;
    let indexes = database.rows(sql(database.dialect.indexes_query())).await?;
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
    /// On a table with rows, whose duplicates may prevent it.
    UniqueIndex(&'static Table, &'static Index),
}

async fn apply(database: &Sql) -> Result<()> {
    let dialect = database.dialect;
    let mut tx = database.begin().await?;
    let (lock, unlock) = dialect.migration_lock();
    if let Some(lock) = lock {
        tx.rows(sql(lock)).await?;
    }
    let result = add_missing(&mut tx, dialect).await;
    if let Some(unlock) = unlock {
        tx.rows(sql(unlock)).await?;
    }
    result?;
    tx.commit().await
}

async fn add_missing(tx: &mut Tx, dialect: &dyn Dialect) -> Result<()> {
    // Read again under the lock.
    let columns = tx.rows(sql(dialect.columns_query())).await?;
    let indexes = tx.rows(sql(dialect.indexes_query())).await?;
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
                tx.execute(sql(dialect.create_index(table_name, index))).await?;
            }
        }
    }
    Ok(())
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

fn changes(catalog: &Catalog, dialect: &dyn Dialect) -> Vec<Change> {
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
                Unique::No => Change::Statement(dialect.create_index(table.name, index)),
                Unique::Index | Unique::Constraint => Change::UniqueIndex(table, index),
            });
        }
    }
    let Some(change) = dialect.make_declaration_optional() else { return changes };
    for table in LEGACY_DECLARATION {
        let accepts_null = catalog.tables.get(*table).and_then(|columns| columns.get("declaration"));
        if accepts_null == Some(&false) {
            changes.push(Change::Statement(format!("ALTER TABLE {table} {change}")));
        }
    }
    changes
}
