//! Installs, upgrades, uninstalls and debugging installations.

use std::collections::BTreeSet;

use super::{install, open, provider, refers, tenant, tool, version};
use crate::{
    Category, Database, DatabaseConfig, DebugInstall, DebugOutcome, Install, InstallOutcome, Installation,
    NewServerlessRuntime, Page, RawJson, RuntimeType, Upgrade, UpgradeOutcome,
};

const PLUGIN: &str = "conformance/kitchen";

fn install_request(tenant_number: u128, identifier: &str) -> Install<'_> {
    Install {
        tenant_id: tenant(tenant_number),
        plugin_id: PLUGIN,
        unique_identifier: identifier,
        runtime_type: RuntimeType::Local,
        source: "package",
        meta: None,
        providers: &[],
    }
}

fn upgrade_request<'a>(tenant_number: u128, from: &'a str, to: &'a str) -> Upgrade<'a> {
    Upgrade {
        tenant_id: tenant(tenant_number),
        original_identifier: from,
        new_identifier: to,
        runtime_type: RuntimeType::Local,
        source: "github",
        meta: None,
        providers: &[],
    }
}

/// The categories in which a tenant has rows of the plugin.
async fn categories(database: &Database, tenant_number: u128) -> Vec<Category> {
    let mut found = Vec::new();
    for category in Category::ALL {
        if database.providers.find(category, tenant(tenant_number), PLUGIN).await.unwrap().is_some() {
            found.push(category);
        }
    }
    found
}

pub(super) async fn install_writes_all_rows(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version(PLUGIN, "1.0.0");
    let meta = RawJson::new(r#"{"repo":"o/r","n":1.5}"#).unwrap();
    let providers = Category::ALL.map(|category| provider(category, "p"));
    let request = Install { meta: Some(&meta), providers: &providers, ..install_request(1, &identifier) };
    let InstallOutcome::Installed(installed) = database.installations.install(&request).await.unwrap() else {
        panic!("not installed");
    };

    assert_eq!(installed.id.get_version_num(), 7);
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap().as_ref(), Some(&installed));
    assert_eq!(database.installations.find_version(tenant(1), &identifier).await.unwrap().as_ref(), Some(&installed));
    let of_version = database.installations.of_version(&identifier).await.unwrap();
    assert_eq!(of_version, std::slice::from_ref(&installed));
    assert_eq!(database.installations.of_version("acme/none:1.0.0@0").await.unwrap(), []);
    assert_eq!(database.installations.get(tenant(1), installed.id).await.unwrap().as_ref(), Some(&installed));
    assert_eq!(database.installations.get(tenant(2), installed.id).await.unwrap(), None);
    let meta: serde_json::Value = installed.meta.as_ref().unwrap().parse().unwrap();
    assert_eq!(meta, serde_json::json!({"repo": "o/r", "n": 1.5}));
    assert_eq!(refers(&database, &identifier).await, Some(1));
    assert_eq!(categories(&database, 1).await, Category::ALL);
    let row = database.providers.find(Category::Model, tenant(1), PLUGIN).await.unwrap().unwrap();
    assert_eq!(
        (row.provider.as_str(), row.plugin_unique_identifier.as_str(), row.tenant_id),
        ("p", identifier.as_str(), tenant(1))
    );
}

pub(super) async fn install_is_once_per_tenant_and_plugin(config: DatabaseConfig) {
    let database = open(&config).await;
    let (first, second) = (version(PLUGIN, "1.0.0"), version(PLUGIN, "2.0.0"));
    let installed = install(&database, tenant(1), PLUGIN, &first).await;
    for identifier in [&first, &second] {
        let outcome = database.installations.install(&install_request(1, identifier)).await.unwrap();
        assert_eq!(outcome, InstallOutcome::AlreadyInstalled(installed.clone()));
    }
    assert_eq!(refers(&database, &first).await, Some(1));
    assert_eq!(refers(&database, &second).await, None);
    assert_eq!(database.providers.all(Category::Tool, tenant(1)).await.unwrap().len(), 1);
}

pub(super) async fn concurrent_installs_count_every_tenant(config: DatabaseConfig) {
    const TENANTS: u128 = 12;
    let database = open(&config).await;
    let identifier = version(PLUGIN, "1.0.0");
    let mut work = tokio::task::JoinSet::new();
    for number in 0..TENANTS {
        let (database, identifier) = (database.clone(), identifier.clone());
        work.spawn(async move { install(&database, tenant(number), PLUGIN, &identifier).await });
    }
    let installed = work.join_all().await;
    assert_eq!(refers(&database, &identifier).await, Some(12));

    let mut work = tokio::task::JoinSet::new();
    for Installation { tenant_id, id, .. } in installed {
        let database = database.clone();
        work.spawn(async move { database.installations.uninstall(tenant_id, id).await.unwrap().unwrap().plugin_gone });
    }
    let gone = work.join_all().await;
    assert_eq!(gone.iter().filter(|gone| **gone).count(), 1, "exactly one removal was the last");
    assert_eq!(refers(&database, &identifier).await, None);
}

pub(super) async fn concurrent_installs_of_one_tenant_make_one_row(config: DatabaseConfig) {
    let database = open(&config).await;
    let mut work = tokio::task::JoinSet::new();
    for number in 0..8 {
        let database = database.clone();
        work.spawn(async move {
            let identifier = version(PLUGIN, &format!("1.0.{number}"));
            let outcome = database.installations.install(&install_request(1, &identifier)).await.unwrap();
            matches!(outcome, InstallOutcome::Installed(_))
        });
    }
    assert_eq!(work.join_all().await.into_iter().filter(|installed| *installed).count(), 1);
    let all = database.installations.all(tenant(1)).await.unwrap();
    assert_eq!(all.len(), 1);
    let plugins = database.plugins.all().await.unwrap();
    assert_eq!(plugins.len(), 1);
    assert_eq!(plugins[0].plugin_unique_identifier, all[0].plugin_unique_identifier);
}

pub(super) async fn lists_are_paged_newest_first(config: DatabaseConfig) {
    let database = open(&config).await;
    let mut names = Vec::new();
    for number in 0..5 {
        let plugin_id = format!("a/p{number}");
        install(&database, tenant(1), &plugin_id, &version(&plugin_id, "1.0.0")).await;
        names.insert(0, plugin_id);
    }
    install(&database, tenant(2), "a/p0", &version("a/p0", "1.0.0")).await;
    let ids = |rows: &[Installation]| rows.iter().map(|row| row.plugin_id.clone()).collect::<Vec<_>>();

    let (first, total) = database.installations.list(tenant(1), Page { number: 1, size: 3 }).await.unwrap();
    let (second, _) = database.installations.list(tenant(1), Page { number: 2, size: 3 }).await.unwrap();
    assert_eq!(total, 5);
    assert_eq!([ids(&first), ids(&second)].concat(), names);
    assert_eq!(ids(&database.installations.all(tenant(1)).await.unwrap()), names);
    assert_eq!(database.installations.count(tenant(1)).await.unwrap(), 5);
    let (beyond, _) = database.installations.list(tenant(1), Page { number: u32::MAX, size: u32::MAX }).await.unwrap();
    assert_eq!(beyond, []);

    let wanted = ["a/p1", "a/p3", "a/none"].map(str::to_owned);
    assert_eq!(ids(&database.installations.find_many(tenant(1), &wanted).await.unwrap()), ["a/p3", "a/p1"]);
    assert_eq!(database.installations.find_many(tenant(1), &[]).await.unwrap(), []);

    let tools = database.providers.list(Category::Tool, tenant(1), Page { number: 2, size: 2 }).await.unwrap();
    assert_eq!(tools.iter().map(|row| row.plugin_id.as_str()).collect::<Vec<_>>(), ["a/p2", "a/p3"]);
}

pub(super) async fn upgrade_moves_the_installation(config: DatabaseConfig) {
    let database = open(&config).await;
    let (old, new) = (version(PLUGIN, "1.0.0"), version(PLUGIN, "1.1.0"));
    let before = install(&database, tenant(1), PLUGIN, &old).await;
    let declaration = RawJson::new(r#"{"v":1}"#).unwrap();
    database.declarations.put_if_absent(&old, PLUGIN, &declaration).await.unwrap();
    let function =
        NewServerlessRuntime { unique_identifier: &old, function_url: "http://f", function_name: "f", checksum: "00" };
    database.serverless.upsert(&function).await.unwrap();

    let providers = [provider(Category::Model, "m"), provider(Category::Trigger, "t")];
    let request = Upgrade { providers: &providers, ..upgrade_request(1, &old, &new) };
    let outcome = database.installations.upgrade(&request).await.unwrap();
    let UpgradeOutcome::Upgraded { installation, original_gone } = outcome else { panic!("{outcome:?}") };

    assert!(original_gone);
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap().as_ref(), Some(&installation));
    assert!(installation.updated_at > before.updated_at);
    let expected = Installation {
        plugin_unique_identifier: new.clone(),
        source: "github".to_owned(),
        updated_at: installation.updated_at,
        ..before
    };
    assert_eq!(installation, expected);
    assert_eq!(categories(&database, 1).await, [Category::Model, Category::Trigger]);
    assert_eq!((refers(&database, &old).await, refers(&database, &new).await), (None, Some(1)));
    assert_eq!(database.declarations.get(&old).await.unwrap(), None);
    assert_eq!(database.serverless.get(&old).await.unwrap(), None);
}

pub(super) async fn upgrade_leaves_other_tenants_alone(config: DatabaseConfig) {
    let database = open(&config).await;
    let (old, new) = (version(PLUGIN, "1.0.0"), version(PLUGIN, "1.1.0"));
    install(&database, tenant(1), PLUGIN, &old).await;
    let other = install(&database, tenant(2), PLUGIN, &old).await;
    database.declarations.put_if_absent(&old, PLUGIN, &RawJson::empty_object()).await.unwrap();
    let outcome = database.installations.upgrade(&upgrade_request(1, &old, &new)).await.unwrap();
    assert!(matches!(outcome, UpgradeOutcome::Upgraded { original_gone: false, .. }));
    assert_eq!((refers(&database, &old).await, refers(&database, &new).await), (Some(1), Some(1)));
    assert_eq!(database.installations.find(tenant(2), PLUGIN).await.unwrap(), Some(other));
    assert_eq!(categories(&database, 2).await, [Category::Tool]);
    assert!(database.declarations.get(&old).await.unwrap().is_some());
}

pub(super) async fn upgrade_of_what_is_not_there(config: DatabaseConfig) {
    let database = open(&config).await;
    let (old, new) = (version(PLUGIN, "1.0.0"), version(PLUGIN, "1.1.0"));
    install(&database, tenant(2), PLUGIN, &old).await;
    let outcome = database.installations.upgrade(&upgrade_request(1, &old, &new)).await.unwrap();
    assert_eq!(outcome, UpgradeOutcome::NotInstalled);
    assert_eq!(refers(&database, &new).await, None);
}

pub(super) async fn crossing_upgrades_keep_the_counts(config: DatabaseConfig) {
    let database = open(&config).await;
    let (one, two) = (version(PLUGIN, "1.0.0"), version(PLUGIN, "2.0.0"));
    for number in 0..8 {
        install(&database, tenant(number), PLUGIN, if number % 2 == 0 { &one } else { &two }).await;
    }
    let mut work = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (database, one, two) = (database.clone(), one.clone(), two.clone());
        work.spawn(async move {
            let (from, to) = if number % 2 == 0 { (one, two) } else { (two, one) };
            database.installations.upgrade(&upgrade_request(number, &from, &to)).await.unwrap();
        });
    }
    work.join_all().await;
    assert_eq!((refers(&database, &one).await, refers(&database, &two).await), (Some(4), Some(4)));
}

pub(super) async fn uninstall_removes_the_last_reference(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version(PLUGIN, "1.0.0");
    let first = install(&database, tenant(1), PLUGIN, &identifier).await;
    let second = install(&database, tenant(2), PLUGIN, &identifier).await;
    database.declarations.put_if_absent(&identifier, PLUGIN, &RawJson::empty_object()).await.unwrap();

    assert_eq!(database.installations.uninstall(tenant(2), first.id).await.unwrap(), None, "not of that tenant");
    let removed = database.installations.uninstall(tenant(1), first.id).await.unwrap().unwrap();
    assert_eq!((removed.installation, removed.plugin_gone), (first.clone(), false));
    assert_eq!(database.installations.uninstall(tenant(1), first.id).await.unwrap(), None);
    assert_eq!(refers(&database, &identifier).await, Some(1));
    assert_eq!(categories(&database, 1).await, []);
    assert_eq!(categories(&database, 2).await, [Category::Tool]);

    let removed = database.installations.uninstall(tenant(2), second.id).await.unwrap().unwrap();
    assert!(removed.plugin_gone);
    assert_eq!(refers(&database, &identifier).await, None);
    assert_eq!(database.declarations.get(&identifier).await.unwrap(), None);
}

pub(super) async fn uninstall_needs_no_plugin_row(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version(PLUGIN, "1.0.0");
    let installed = install(&database, tenant(1), PLUGIN, &identifier).await;
    database.sql.execute(crate::sql::statement::sql("DELETE FROM plugins")).await.unwrap();
    let removed = database.installations.uninstall(tenant(1), installed.id).await.unwrap().unwrap();
    assert!(removed.plugin_gone);
}

pub(super) async fn debugging_rows_are_added_and_removed(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version(PLUGIN, "0.0.1");
    let declaration = RawJson::new(r#"{"name":"kitchen"}"#).unwrap();
    let request = DebugInstall {
        tenant_id: tenant(1),
        plugin_id: PLUGIN,
        unique_identifier: &identifier,
        declaration: &declaration,
        providers: &tool(),
    };
    let DebugOutcome::Installed(installed) = database.installations.install_debug(&request).await.unwrap() else {
        panic!("not installed");
    };
    assert_eq!((installed.runtime_type, installed.source.as_str()), (RuntimeType::Remote, "remote"));
    assert_eq!(installed.meta, Some(RawJson::empty_object()));
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap().as_ref(), Some(&installed));
    assert_eq!(database.declarations.remote(&identifier).await.unwrap(), Some(declaration));
    assert_eq!(refers(&database, &identifier).await, Some(1));
    install(&database, tenant(2), PLUGIN, &version(PLUGIN, "1.0.0")).await;
    assert_eq!(database.installations.debugged().await.unwrap(), std::slice::from_ref(&installed));

    let removed = database.installations.remove_debug(&installed).await.unwrap().unwrap();
    assert!(removed.plugin_gone);
    assert_eq!(database.installations.debugged().await.unwrap(), []);
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap(), None);
    assert_eq!(categories(&database, 1).await, []);
    assert_eq!(database.installations.remove_debug(&installed).await.unwrap(), None);
}

pub(super) async fn debugging_never_harms_a_normal_installation(config: DatabaseConfig) {
    let database = open(&config).await;
    let normal = install(&database, tenant(1), PLUGIN, &version(PLUGIN, "1.0.0")).await;
    let identifier = version(PLUGIN, "0.0.1");
    let request = DebugInstall {
        tenant_id: tenant(1),
        plugin_id: PLUGIN,
        unique_identifier: &identifier,
        declaration: &RawJson::empty_object(),
        providers: &[],
    };
    let outcome = database.installations.install_debug(&request).await.unwrap();
    assert_eq!(outcome, DebugOutcome::Shadowed(normal.clone()));
    assert_eq!(refers(&database, &identifier).await, None);
    assert_eq!(database.installations.remove_debug(&normal).await.unwrap(), None);
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap(), Some(normal));
}

pub(super) async fn an_install_for_good_takes_the_rows_of_debugging(config: DatabaseConfig) {
    let database = open(&config).await;
    let (developed, good) = (version(PLUGIN, "0.0.1"), version(PLUGIN, "1.0.0"));
    let request = DebugInstall {
        tenant_id: tenant(1),
        plugin_id: PLUGIN,
        unique_identifier: &developed,
        declaration: &RawJson::empty_object(),
        providers: &[],
    };
    let DebugOutcome::Installed(before) = database.installations.install_debug(&request).await.unwrap() else {
        panic!("not installed");
    };
    let installed = install(&database, tenant(1), PLUGIN, &good).await;
    assert_eq!((installed.id, installed.runtime_type), (before.id, RuntimeType::Local));
    assert_eq!(installed.plugin_unique_identifier, good);
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap(), Some(installed));
    assert_eq!(refers(&database, &developed).await, None);
    assert_eq!(refers(&database, &good).await, Some(1));
    assert_eq!(database.installations.remove_debug(&before).await.unwrap(), None, "its connection ends later");
    assert_eq!(database.installations.debugged().await.unwrap(), []);
}

pub(super) async fn a_new_connection_keeps_the_rows_of_the_old_one(config: DatabaseConfig) {
    let database = open(&config).await;
    let connect = async |number: &str, category| {
        let identifier = version(PLUGIN, number);
        let request = DebugInstall {
            tenant_id: tenant(1),
            plugin_id: PLUGIN,
            unique_identifier: &identifier,
            declaration: &RawJson::new(format!(r#"{{"version":"{number}"}}"#)).unwrap(),
            providers: &[provider(category, "p")],
        };
        match database.installations.install_debug(&request).await.unwrap() {
            DebugOutcome::Installed(installed) => installed,
            DebugOutcome::Shadowed(normal) => panic!("{normal:?}"),
        }
    };
    let first = connect("0.0.1", Category::Tool).await;
    let same = connect("0.0.1", Category::Tool).await;
    assert_eq!(database.installations.remove_debug(&first).await.unwrap(), None, "the old connection is too late");
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap().as_ref(), Some(&same));

    let changed = connect("0.0.2", Category::Model).await;
    assert_eq!(changed.id, first.id, "endpoints and clients know the id");
    assert_eq!(database.installations.find(tenant(1), PLUGIN).await.unwrap().as_ref(), Some(&changed));
    let in_use: BTreeSet<String> =
        database.plugins.all().await.unwrap().into_iter().map(|plugin| plugin.plugin_unique_identifier).collect();
    assert_eq!(in_use, BTreeSet::from([changed.plugin_unique_identifier.clone()]));
    assert_eq!(categories(&database, 1).await, [Category::Model]);
    assert_eq!(database.installations.remove_debug(&same).await.unwrap(), None);
    assert!(database.installations.remove_debug(&changed).await.unwrap().unwrap().plugin_gone);
}
