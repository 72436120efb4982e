//! One behaviour suite, run over every database.

mod adoption;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod connections;
mod declarations;
mod endpoints;
mod installations;
mod jobs;
#[cfg(feature = "sqlite")]
mod measure;
#[cfg(all(feature = "postgres", feature = "mysql"))]
mod reference;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod refusals;
mod rows;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod servers;
mod tasks;

use std::future::Future;

use uuid::Uuid;

use crate::{Category, Database, DatabaseConfig, Install, InstallOutcome, Installation, ProviderName, RuntimeType};

/// Runs every case, each as a test of its own, over each database of this build.
macro_rules! suite {
    ($($module:ident { $($case:ident),* $(,)? })*) => {
        #[cfg(feature = "sqlite")]
        mod on_sqlite {
            $(mod $module { $(
                #[tokio::test]
                async fn $case() {
                    crate::sql::tests::on_sqlite(crate::sql::tests::$module::$case).await;
                }
            )* })*
        }
        #[cfg(feature = "postgres")]
        mod on_postgres {
            $(mod $module { $(
                #[tokio::test]
                async fn $case() {
                    let database = crate::sql::tests::servers::POSTGRES.new_database().await;
                    crate::sql::tests::on_server(database, crate::sql::tests::$module::$case).await;
                }
            )* })*
        }
        #[cfg(feature = "postgres")]
        mod on_postgres_through_pgbouncer {
            $(mod $module { $(
                #[tokio::test]
                async fn $case() {
                    let database = crate::sql::tests::servers::pooled_database().await;
                    crate::sql::tests::on_server(database, crate::sql::tests::$module::$case).await;
                }
            )* })*
        }
        #[cfg(feature = "mysql")]
        mod on_mysql {
            $(mod $module { $(
                #[tokio::test]
                async fn $case() {
                    let database = crate::sql::tests::servers::MYSQL.new_database().await;
                    crate::sql::tests::on_server(database, crate::sql::tests::$module::$case).await;
                }
            )* })*
        }
    };
}

suite! {
    adoption { opening_again_changes_nothing, missing_pieces_are_added }
    installations {
        install_writes_all_rows,
        install_is_once_per_tenant_and_plugin,
        concurrent_installs_count_every_tenant,
        concurrent_installs_of_one_tenant_make_one_row,
        lists_are_paged_newest_first,
        upgrade_moves_the_installation,
        upgrade_leaves_other_tenants_alone,
        upgrade_of_what_is_not_there,
        crossing_upgrades_keep_the_counts,
        uninstall_removes_the_last_reference,
        uninstall_needs_no_plugin_row,
        debugging_rows_are_added_and_removed,
        debugging_never_harms_a_normal_installation,
        an_install_for_good_takes_the_rows_of_debugging,
        a_new_connection_keeps_the_rows_of_the_old_one,
    }
    declarations { put_keeps_what_is_there, remote_declarations }
    endpoints { life_of_an_endpoint, counters_follow, concurrent_creation_counts, endpoints_survive_their_plugin, paging }
    tasks {
        status_is_derived,
        a_version_twice_in_one_task,
        items_can_be_deleted,
        succeeded_tasks_end,
        orphans_fail,
        dropped_calls_end_their_transactions,
        tenants_are_apart,
    }
    jobs { ended_owners_are_forgotten, claimed_once, leases_run_out, released_jobs_wait, finishing_ends_item_and_job, jobs_survive_their_task }
    rows { serverless_runtimes, storage_is_limited, concurrent_reservations, readmes, providers_exist, keys_that_change }
}

#[cfg(feature = "sqlite")]
async fn on_sqlite<Fut: Future<Output = ()>>(case: impl FnOnce(DatabaseConfig) -> Fut) {
    let folder = tempfile::tempdir().unwrap();
    case(DatabaseConfig::Sqlite { path: folder.path().join("below/daemon.db") }).await;
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
async fn on_server<Fut: Future<Output = ()>>(
    database: Option<DatabaseConfig>,
    case: impl FnOnce(DatabaseConfig) -> Fut,
) {
    if let Some(config) = database {
        case(config).await;
    }
}

async fn open(config: &DatabaseConfig) -> Database {
    Database::open(config).await.unwrap()
}

fn tenant(number: u128) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + number)
}

fn version(plugin_id: &str, version: &str) -> String {
    format!("{plugin_id}:{version}@{}", "0f".repeat(32))
}

fn provider(category: Category, provider: &str) -> ProviderName {
    ProviderName { category, provider: provider.to_owned() }
}

fn tool() -> Vec<ProviderName> {
    vec![provider(Category::Tool, "kitchen")]
}

/// Installs a local plugin with one tool.
async fn install(database: &Database, tenant_id: Uuid, plugin_id: &str, unique_identifier: &str) -> Installation {
    let request = Install {
        tenant_id,
        plugin_id,
        unique_identifier,
        runtime_type: RuntimeType::Local,
        source: "marketplace",
        meta: None,
        providers: &tool(),
    };
    match database.installations.install(&request).await.unwrap() {
        InstallOutcome::Installed(installation) => installation,
        InstallOutcome::AlreadyInstalled(present) => panic!("already there: {present:?}"),
    }
}

async fn refers(database: &Database, unique_identifier: &str) -> Option<i64> {
    database.plugins.get(unique_identifier).await.unwrap().map(|plugin| plugin.refers)
}
