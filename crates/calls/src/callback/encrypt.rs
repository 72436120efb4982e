//! Settings of endpoints, whose secret ones Dify encrypts and decrypts (plugin-protocol 5.6).

use plugin_manifest::ProviderConfig;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::dify::{Dify, DifyError, Head};
use super::remote::{Asker, inner_data, read_single};
use plugin_service::json::to_json;
use plugin_service::telemetry::TraceContext;

const PATH: &str = "invoke/encrypt";

/// Whose settings they are.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    pub tenant_id: Uuid,
    /// Empty where nobody is signed in.
    pub user_id: &'a str,
    /// What the encryption is bound to.
    pub endpoint_id: Uuid,
    /// What the plugin declares of its settings.
    pub fields: &'a [ProviderConfig],
}

/// Encrypts and decrypts by asking Dify; settings without a secret among their fields it leaves as they are.
#[derive(Clone, Copy, Debug)]
pub struct Cipher<'a> {
    pub dify: &'a Dify,
    pub trace: &'a TraceContext,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(flatten)]
    asker: Asker<'a>,
    opt: &'a str,
    namespace: &'a str,
    identity: Uuid,
    data: &'a Map<String, Value>,
    config: &'a [ProviderConfig],
}

impl Cipher<'_> {
    /// The settings as they are stored.
    pub async fn encrypt(&self, of: Sealed<'_>, settings: Map<String, Value>) -> Result<Map<String, Value>, DifyError> {
        self.ask("encrypt", of, settings).await
    }

    /// The settings as the plugin gets them.
    pub async fn decrypt(&self, of: Sealed<'_>, settings: Map<String, Value>) -> Result<Map<String, Value>, DifyError> {
        self.ask("decrypt", of, settings).await
    }

    /// Has Dify forget what it remembers of the endpoint's decrypted settings.
    pub async fn forget(&self, of: Sealed<'_>) -> Result<(), DifyError> {
        self.ask("clear", of, Map::new()).await.map(|_| ())
    }

    async fn ask(&self, opt: &str, of: Sealed<'_>, data: Map<String, Value>) -> Result<Map<String, Value>, DifyError> {
        if !of.fields.iter().any(|field| field.kind == "secret-input") {
            return Ok(data);
        }
        let request = Request {
            asker: Asker { tenant_id: of.tenant_id, user_id: of.user_id, kind: "encrypt" },
            opt,
            namespace: "endpoint",
            identity: of.endpoint_id,
            data: &data,
            config: of.fields,
        };
        let response = self.dify.post(PATH, self.trace, to_json(&request)).await?;
        let head = Head::of(&response);
        let whole = self.dify.whole(response).await?;
        let inner = inner_data(read_single(self.dify, &head, &whole)?.get())?;
        if opt == "clear" {
            return Ok(data); // what Dify says beyond that it is done is of no use
        }
        Ok(serde_json::from_str(inner.get())?)
    }
}
