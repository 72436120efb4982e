//! Every variable that the daemon knows, by topic (lifecycle-and-storage 7.2 to 7.9, and our own).

mod clouds;
mod plugins;
mod server;
mod state;
mod telemetry;

pub use clouds::{AliyunOss, AzureBlob, BaiduBos, GoogleStorage, HuaweiObs, S3, TencentCos, VolcengineTos};
pub use plugins::{Debugging, Plugins, Proxy, Python, Serverless, Signatures, Workers};
pub use server::{Admin, DifyApi, Log, Server};
pub use state::{Database, Persistence, Redis, Storage};
pub use telemetry::{Leftovers, OpenTelemetry, Sentry};
