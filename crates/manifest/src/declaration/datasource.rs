//! Datasource providers (package-format 11).

use super::{
    shared::{DatasourceParameter, I18n, Misshapen, OAuthSchema, ProviderConfig, configs, inline},
    value::Object,
};
use crate::yaml::{Mapping, Reader};

record! {
    /// A provider of datasources.
    pub struct DatasourceProvider {
        identity: DatasourceProviderIdentity,
        credentials_schema: Vec<ProviderConfig> = credentials,
        oauth_schema: Option<OAuthSchema>,
        /// `website_crawl`, `online_document` or `online_drive`.
        provider_type: String,
        datasources: Vec<Datasource> = inline,
    }
}

record! {
    /// Who a datasource provider is; unlike others it has no dark icon.
    pub struct DatasourceProviderIdentity {
        author: String,
        name: String,
        description: I18n,
        icon: String,
        label: I18n,
        tags: Vec<String>,
    }
}

record! {
    /// One source of documents or pages.
    pub struct Datasource {
        identity: DatasourceIdentity,
        /// Null when absent.
        parameters: Option<Vec<DatasourceParameter>>,
        description: I18n,
        #[serde(skip_serializing_if = "Object::is_empty")]
        output_schema: Object,
    }
}

record! {
    /// Who a datasource is.
    pub struct DatasourceIdentity {
        author: String,
        name: String,
        label: I18n,
        icon: String,
    }
}

fn credentials<'t>(mapping: &Mapping<'t>, reader: &mut Reader<'t>, key: &'static str) -> Vec<ProviderConfig> {
    let Some(node) = mapping.get(key) else { return Vec::new() };
    reader.at_key(key.into(), |reader| {
        reader.nested(node, |node, reader| configs(node, reader, Misshapen::Skip, key)).unwrap_or_default()
    })
}
