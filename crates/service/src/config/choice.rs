//! Variables with a fixed set of words.

use super::kind::Kind;

macro_rules! choices {
    ($(
        $(#[doc = $doc:literal])+
        $choice:ident $name:literal $fold:expr => {
            $($(#[doc = $word_doc:literal])+ $variant:ident $($word:literal)|+ $(, also $($alias:literal)|+)?;)+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub enum $choice {
                $($(#[doc = $word_doc])+ $variant,)+
            }

            impl $choice {
                /// The usual word for it.
                pub fn word(self) -> &'static str {
                    match self {
                        $(Self::$variant => choices!(@first $($word)|+),)+
                    }
                }
            }

            impl Kind for $choice {
                type Value = Self;

                const NAME: &'static str = $name;
                const EXIT_CODE: u8 = 1;

                fn parse(text: &str) -> Result<Self, String> {
                    let fold: fn(&str) -> String = $fold;
                    match fold(text).as_str() {
                        $($($word)|+ $(| $($alias)|+)? => Ok(Self::$variant),)+
                        _ => Err(concat!("is not one of", $($(" ", $word),+),+).to_owned()),
                    }
                }
            }
        )+
    };
    (@first $word:literal $(| $other:literal)*) => { $word };
}

choices! {
    /// Where plugins run (`PLATFORM`).
    Platform "`local` or `serverless`" str::to_owned => {
        /// As processes of this node.
        Local "local";
        /// As functions of a serverless platform.
        Serverless "serverless";
    }

    /// Whether plugins are forked from an interpreter that has imported the SDK (`PLUGIN_PREFORK`).
    Prefork "`auto` or `off`" str::to_owned => {
        /// Where a fork is the same as a new interpreter.
        Auto "auto";
        /// Never.
        Off "off";
    }

    /// The least severe level that is logged (`LOG_LEVEL`). The words of Dify's API, which shares the variable in a
    /// compose file, are taken too.
    LogLevel "`DEBUG`, `INFO`, `WARN` or `ERROR`" str::to_ascii_uppercase => {
        /// Everything.
        Debug "DEBUG";
        /// What an operator wants to know.
        Info "INFO";
        /// What should be looked at.
        Warn "WARN" | "WARNING";
        /// What failed.
        Error "ERROR" | "CRITICAL";
    }

    /// How a collector is spoken to (`OTEL_EXPORTER_OTLP_PROTOCOL`).
    OtlpProtocol "`http/protobuf` or `grpc`" str::to_ascii_lowercase => {
        /// OTLP over HTTP, in protobuf.
        Http "http/protobuf" | "http";
        /// OTLP over gRPC.
        Grpc "grpc";
    }

    /// The form of a log line (`LOG_OUTPUT_FORMAT`).
    LogFormat "`text` or `json`" |text| if text == "json" { text.to_owned() } else { "text".to_owned() } => {
        /// One readable line.
        Text "text";
        /// One JSON object a line.
        Json "json";
    }

    /// The kind of database (`DB_TYPE`).
    DatabaseType "`sqlite`, `postgresql`, `pgbouncer`, `mysql`, `oceanbase` or `seekdb`" str::to_owned => {
        /// A file; no server needed.
        Sqlite "sqlite";
        /// PostgreSQL.
        Postgresql "postgresql";
        /// PostgreSQL behind PgBouncer: no prepared statements that outlive a transaction.
        Pgbouncer "pgbouncer";
        /// MySQL and those that speak its protocol.
        Mysql "mysql" | "oceanbase" | "seekdb";
    }

    /// How a database connection is protected (`DB_SSL_MODE`).
    SslMode "`disable`, `require`, `verify-ca` or `verify-full`" str::to_owned => {
        /// Not at all.
        Disable "disable";
        /// Encrypted, without checking the server's certificate.
        Require "require";
        /// Encrypted, the certificate's authority is checked.
        VerifyCa "verify-ca";
        /// Encrypted, authority and host name are checked.
        VerifyFull "verify-full";
    }

    /// Where state lives that nodes share (`CACHE_TYPE`).
    CacheType "`memory` or `redis`" str::to_owned => {
        /// In this process: one node only.
        Memory "memory";
        /// In Redis.
        Redis "redis";
    }

    /// How the certificate of a Redis server is checked (`REDIS_SSL_CERT_REQS`).
    RedisCertificates "`CERT_NONE`, `CERT_OPTIONAL` or `CERT_REQUIRED`" str::to_ascii_uppercase => {
        /// Not at all.
        None "CERT_NONE";
        /// Against the given authority, or the system's.
        Optional "CERT_OPTIONAL";
        /// Against the given authority, which must be given.
        Required "CERT_REQUIRED";
    }

    /// Where packages and assets are stored (`PLUGIN_STORAGE_TYPE`).
    StorageType "word" str::to_owned => {
        /// A folder.
        Local "local", also "local_file";
        /// Amazon S3 and what speaks its protocol.
        S3 "aws_s3", also "s3" | "aws-s3";
        /// Tencent COS.
        Tencent "tencent_cos", also "tencent" | "tencent-cos";
        /// Azure Blob Storage.
        Azure "azure_blob", also "azure" | "azure-blob";
        /// Aliyun OSS.
        Aliyun "aliyun_oss", also "aliyun" | "aliyun-oss";
        /// Google Cloud Storage.
        Gcs "gcs", also "google-storage" | "google_storage";
        /// Huawei OBS.
        Huawei "huawei_obs", also "huawei" | "huawei-obs";
        /// Volcengine TOS.
        Volcengine "volcengine_tos", also "volcengine" | "volcengine-tos";
        /// Baidu BOS.
        Baidu "baidu_bos";
    }
}

/// A kind of storage and the word for it in `PLUGIN_STORAGE_TYPE`, which is a label of metrics as in the reference's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageKind {
    pub kind: StorageType,
    pub word: String,
}

impl Kind for StorageKind {
    type Value = Self;

    const NAME: &'static str = StorageType::NAME;
    const EXIT_CODE: u8 = StorageType::EXIT_CODE;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { kind: StorageType::parse(text)?, word: text.to_owned() })
    }
}

macro_rules! first_is_default {
    ($($choice:ident $variant:ident),+) => {
        $(impl Default for $choice {
            fn default() -> Self {
                Self::$variant
            }
        })+
    };
}
first_is_default!(
    Platform Local, Prefork Auto, LogLevel Info, LogFormat Text, OtlpProtocol Http, DatabaseType Sqlite,
    SslMode Disable, CacheType Memory, RedisCertificates Optional, StorageType Local
);
