//! Variables that belong to something that is not chosen: what is wrong with them is passed over, with a note.

use super::groups::{
    AliyunOss, AzureBlob, BaiduBos, Database, Debugging, GoogleStorage, HuaweiObs, OpenTelemetry, Redis, S3, Sentry,
    Serverless, TencentCos, VolcengineTos,
};
use super::kind::{Kind as _, parse_bool};
use super::registry::{Group, Reader};
use super::{DatabaseType, Platform, StorageType};

/// Groups of a kind of storage.
const STORAGES: [(StorageType, &Group); 8] = [
    (StorageType::S3, &S3::GROUP),
    (StorageType::Azure, &AzureBlob::GROUP),
    (StorageType::Gcs, &GoogleStorage::GROUP),
    (StorageType::Tencent, &TencentCos::GROUP),
    (StorageType::Aliyun, &AliyunOss::GROUP),
    (StorageType::Huawei, &HuaweiObs::GROUP),
    (StorageType::Volcengine, &VolcengineTos::GROUP),
    (StorageType::Baidu, &BaiduBos::GROUP),
];

/// Groups that a switch turns on, itself not among them.
const SWITCHED: [(&str, &Group); 3] = [
    ("PLUGIN_REMOTE_INSTALLING_ENABLED", &Debugging::GROUP),
    ("ENABLE_OTEL", &OpenTelemetry::GROUP),
    ("SENTRY_ENABLED", &Sentry::GROUP),
];
/// Marks them, once defaults are computed.
pub(super) fn mark(reader: &mut Reader) {
    let storage = reader.effective("PLUGIN_STORAGE_TYPE").and_then(|text| StorageType::parse(text).ok());
    if let Some(storage) = storage {
        let reason = format!("PLUGIN_STORAGE_TYPE is {}", storage.word());
        for (_, group) in STORAGES.iter().filter(|(kind, _)| *kind != storage) {
            mark_group(reader, group, &[], &reason);
        }
        if storage == StorageType::Local {
            reader.set_idle("PLUGIN_STORAGE_OSS_BUCKET", reason);
        } else {
            reader.set_idle("PLUGIN_STORAGE_LOCAL_ROOT", reason);
        }
    }
    for (switch, group) in SWITCHED {
        if is_off(reader, switch) {
            mark_group(reader, group, &[switch], &format!("{switch} is false"));
        }
    }
    if is_off(reader, "THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED") {
        let reason = "THIRD_PARTY_SIGNATURE_VERIFICATION_ENABLED is false";
        reader.set_idle("THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS", reason);
    }
    if reader.effective("PLATFORM").is_some_and(|text| Platform::parse(text) == Ok(Platform::Local)) {
        mark_group(reader, &Serverless::GROUP, &[], "PLATFORM is local");
    }
    if reader.effective("DB_TYPE").is_some_and(|text| DatabaseType::parse(text) == Ok(DatabaseType::Sqlite)) {
        let used = ["DB_TYPE", "DB_DATABASE", "DB_GORM_LOG_LEVEL"];
        mark_group(reader, &Database::GROUP, &used, "DB_TYPE is sqlite");
    }
    if reader.effective("CACHE_TYPE") == Some("memory") {
        mark_group(reader, &Redis::GROUP, &["CACHE_TYPE"], "CACHE_TYPE is memory");
    }
    for (switch, prefix) in [
        ("REDIS_USE_SENTINEL", "REDIS_SENTINEL"),
        ("REDIS_USE_CLUSTERS", "REDIS_CLUSTERS"),
        ("REDIS_USE_SSL", "REDIS_SSL_"),
    ] {
        if is_off(reader, switch) {
            let names = Redis::GROUP.variables.iter().map(|variable| variable.name);
            for name in names.filter(|name| name.starts_with(prefix)) {
                reader.set_idle(name, format!("{switch} is false"));
            }
        }
    }
}

fn is_off(reader: &Reader, switch: &str) -> bool {
    reader.effective(switch).and_then(parse_bool) == Some(false)
}

fn mark_group(reader: &mut Reader, group: &Group, used: &[&str], reason: &str) {
    for variable in group.variables.iter().filter(|variable| !used.contains(&variable.name)) {
        reader.set_idle(variable.name, reason);
    }
}
