//! Where to send, and as whom.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use percent_encoding::percent_decode_str;

use super::grpc;
use super::otlp::OtlpError;
use crate::VERSION;
use crate::config::{OpenTelemetry, OtlpProtocol};

/// Where a collector listens for gRPC, unless it is told otherwise.
const GRPC: &str = "http://localhost:4317";

/// The URLs for traces and for metrics.
pub(super) fn endpoints(config: &OpenTelemetry) -> Result<[String; 2], OtlpError> {
    let is_default =
        OpenTelemetry::GROUP.variables.iter().any(|variable| variable.default == Some(config.base_endpoint.as_str()));
    let base = match config.protocol {
        OtlpProtocol::Grpc if is_default => GRPC,
        _ => &config.base_endpoint,
    };
    let of = |own: &Option<String>, variable, path| {
        let (url, variable) = match own {
            Some(own) if config.protocol == OtlpProtocol::Http => (own.clone(), variable),
            Some(own) => (below(own, path), variable),
            None => (below(base, path), "OTLP_BASE_ENDPOINT"),
        };
        let parsed = url.parse::<reqwest::Url>().map_err(|error| error.to_string());
        match parsed {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => Ok(url),
            Ok(_) => Err(OtlpError::Endpoint { variable, reason: "it is no URL of http or https".to_owned() }),
            Err(reason) => Err(OtlpError::Endpoint { variable, reason }),
        }
    };
    let [traces, metrics] = match config.protocol {
        OtlpProtocol::Http => ["/v1/traces", "/v1/metrics"],
        OtlpProtocol::Grpc => grpc::METHODS,
    };
    Ok([
        of(&config.trace_endpoint, "OTLP_TRACE_ENDPOINT", traces)?,
        of(&config.metric_endpoint, "OTLP_METRIC_ENDPOINT", metrics)?,
    ])
}

fn below(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// The headers of every request: the key as a bearer token, and `OTEL_EXPORTER_OTLP_HEADERS`, which may name another.
pub(super) fn headers(config: &OpenTelemetry) -> Result<HashMap<String, String>, OtlpError> {
    let mut headers = HashMap::new();
    if let Some(key) = &config.api_key {
        headers.insert("authorization".to_owned(), format!("Bearer {}", key.expose()));
    }
    let given = config.headers.as_ref().map_or("", |headers| headers.expose());
    for (name, value) in pairs(given, "OTEL_EXPORTER_OTLP_HEADERS")? {
        headers.insert(name.to_ascii_lowercase(), value);
    }
    // the exporter would leave it out without a word
    let can_be_sent =
        |name: &str, value: &str| HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
    match headers.iter().find(|(name, value)| !can_be_sent(name, value)) {
        Some((name, _)) => Err(OtlpError::Header(name.clone())),
        None => Ok(headers),
    }
}

/// Who sends: the service, its version, and `OTEL_RESOURCE_ATTRIBUTES`.
pub(super) fn resource(config: &OpenTelemetry) -> Result<Resource, OtlpError> {
    let given = pairs(config.resource_attributes.as_deref().unwrap_or_default(), "OTEL_RESOURCE_ATTRIBUTES")?;
    let resource = Resource::builder_empty()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", VERSION))
        .with_attribute(KeyValue::new("telemetry.sdk.language", "rust"))
        .with_attribute(KeyValue::new("telemetry.sdk.name", "opentelemetry"))
        .with_attributes(given.into_iter().map(|(name, value)| KeyValue::new(Key::new(name), value)));
    Ok(resource.build())
}

/// `name=value,name=value`, with values that may be percent-encoded (W3C Baggage, as OpenTelemetry's variables are).
fn pairs(text: &str, variable: &'static str) -> Result<Vec<(String, String)>, OtlpError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate();
    parts
        .map(|(index, part)| {
            let wrong = |reason: &str| OtlpError::Pairs { variable, position: index + 1, reason: reason.to_owned() };
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("it has no ="))?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong("its value is no UTF-8"))?;
            match name.trim() {
                "" => Err(wrong("it has no name")),
                name => Ok((name.to_owned(), value.into_owned())),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config(variables: &[(&str, &str)]) -> OpenTelemetry {
        let mut variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        variables.push(("ENABLE_OTEL".to_owned(), "true".to_owned()));
        Config::from_vars(variables.into_iter().collect()).unwrap().otel
    }

    #[test]
    fn urls_follow_protocol_and_variables() {
        let of = |variables: &[(&str, &str)]| endpoints(&config(variables)).unwrap();
        assert_eq!(of(&[]), ["http://localhost:4318/v1/traces", "http://localhost:4318/v1/metrics"]);
        let base = ("OTLP_BASE_ENDPOINT", "https://c:4318/");
        assert_eq!(of(&[base]), ["https://c:4318/v1/traces", "https://c:4318/v1/metrics"]);
        let own = ("OTLP_TRACE_ENDPOINT", "http://t/x");
        assert_eq!(of(&[base, own]), ["http://t/x", "https://c:4318/v1/metrics"]);
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let services = |base: &str| grpc::METHODS.map(|method| format!("{base}{method}"));
        assert_eq!(of(&[grpc]), services(GRPC));
        assert_eq!(of(&[grpc, base]), services("https://c:4318"));
        assert_eq!(of(&[grpc, ("OTLP_TRACE_ENDPOINT", "http://t:1")])[0], services("http://t:1")[0]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let error = |variables: &[(&str, &str)]| {
            let config = config(variables);
            let failed = endpoints(&config).map(drop).and_then(|()| headers(&config).map(drop));
            failed.and_then(|()| resource(&config).map(drop)).unwrap_err().to_string()
        };
        insta::assert_snapshot!(error(&[("OTLP_BASE_ENDPOINT", "collector:4318")]));
        insta::assert_snapshot!(error(&[("OTLP_METRIC_ENDPOINT", "http://")]));
        insta::assert_snapshot!(error(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=1,secret")]));
        assert_eq!(
            error(&[("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret")]),
            "OTEL_EXPORTER_OTLP_HEADERS: `a b` has a name or a value that no header can have"
        );
        insta::assert_snapshot!(error(&[("OTEL_RESOURCE_ATTRIBUTES", "=x")]));
    }

    #[test]
    fn headers_and_attributes_are_decoded() {
        let config = config(&[
            ("OTEL_API_KEY", "k"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "X-Team=a%20b, Authorization=Basic%20x"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod,host.name=a%2Cb"),
            ("OTEL_SERVICE_NAME", "plugins"),
        ]);
        let headers = headers(&config).unwrap();
        assert_eq!((headers["x-team"].as_str(), headers["authorization"].as_str()), ("a b", "Basic x"));
        let resource = resource(&config).unwrap();
        let value = |name: &'static str| resource.get(&Key::new(name)).unwrap().to_string();
        assert_eq!([value("service.name"), value("host.name")], ["plugins", "a,b"]);
        assert_eq!(value("service.version"), VERSION);
    }
}
