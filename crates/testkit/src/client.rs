//! A client of the daemon that sends what Dify sends and reads answers as Dify reads them.

#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not hold")]

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Longest rest of a connection that is used again, well below what a stopping daemon leaves to one: as for any client in
/// front of a server that closes connections, it must not be the client that is late.
const IDLE: Duration = Duration::from_millis(200);
const BOUNDARY: &str = "testkit-5c1f7a9e-boundary";

/// One workspace's view of a daemon.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    key: String,
    tenant: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(base_url: &str, key: &str, tenant: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(IDLE).build()?;
        Ok(Self {
            http,
            base_url: base_url.to_owned(),
            key: key.to_owned(),
            tenant: tenant.to_owned(),
            headers: Vec::new(),
        })
    }

    /// The same with a header in every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Whether the daemon answers and says that it takes calls.
    pub async fn is_healthy(&self) -> bool {
        let url = format!("{}/health/check", self.base_url);
        matches!(self.http.get(url).timeout(Duration::from_secs(1)).send().await, Ok(answer) if answer.status() == 200)
    }

    /// Uploads a package; its unique identifier.
    pub async fn upload(&self, package: &[u8]) -> Result<String> {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"dify_pkg\"; filename=\"dify_pkg\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let body = [head.as_bytes(), package, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let request = self
            .request(reqwest::Method::POST, "management/install/upload/package")
            .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(body);
        let data = answer(request).await?;
        Ok(data["unique_identifier"].as_str().context("no unique_identifier in the answer")?.to_owned())
    }

    /// Asks for a plugin to be installed; the task, or `None` when it is installed already.
    pub async fn install(&self, identifier: &str) -> Result<Option<String>> {
        let body = json!({"plugin_unique_identifiers": [identifier], "source": "package", "metas": [{}]});
        let data = self.post("management/install/identifiers", &body).await?;
        if data["all_installed"] == true {
            return Ok(None);
        }
        Ok(Some(data["task_id"].as_str().context("no task_id in the answer")?.to_owned()))
    }

    /// Waits until an install task has ended; `progress` gets its messages.
    pub async fn wait_for(&self, task: &str, mut progress: impl FnMut(&str)) -> Result<()> {
        let mut last = String::new();
        loop {
            let data = self.get(&format!("management/install/tasks/{task}")).await?;
            let message = data["plugins"][0]["message"].as_str().unwrap_or_default().to_owned();
            match data["status"].as_str() {
                Some("success") => return Ok(()),
                Some("failed") => bail!("installation failed: {message}"),
                _ => {}
            }
            if message != last {
                progress(&message);
                last = message;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Uploads, installs and waits.
    pub async fn install_package(&self, package: &[u8]) -> Result<String> {
        let identifier = self.upload(package).await?;
        if let Some(task) = self.install(&identifier).await? {
            self.wait_for(&task, |_| {}).await?;
        }
        Ok(identifier)
    }

    /// Opens a tool's stream of answers.
    pub async fn invoke_tool(&self, plugin: &str, provider: &str, tool: &str, parameters: Value) -> Result<Events> {
        let data = json!({"provider": provider, "tool": tool, "tool_parameters": parameters, "credentials": {}});
        self.dispatch(plugin, "tool/invoke", data).await
    }

    /// Opens the stream of any action.
    pub async fn dispatch(&self, plugin: &str, path: &str, data: Value) -> Result<Events> {
        let body = json!({"user_id": "testkit", "data": data});
        let request = self.request(reqwest::Method::POST, &format!("dispatch/{path}"));
        let response = request.header("x-plugin-id", plugin).json(&body).send().await?;
        Ok(Events { response, buffer: Vec::new() })
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        answer(self.request(reqwest::Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(self.request(reqwest::Method::POST, path).json(body)).await
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/plugin/{}/{path}", self.base_url, self.tenant);
        let request = self.http.request(method, url).header("x-api-key", &self.key);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// The events of one call, as they come.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Events {
    /// The data of the next event, `None` at the end; an error event is an error.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = std::str::from_utf8(&line)?.trim();
                let line = line.strip_prefix("data:").unwrap_or(line).trim();
                if line.is_empty() {
                    continue;
                }
                return data_of(line).map(Some);
            }
            match self.response.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.iter().any(|byte| !byte.is_ascii_whitespace()) => {
                    let rest = std::mem::take(&mut self.buffer);
                    return data_of(std::str::from_utf8(&rest)?).map(Some);
                }
                None => return Ok(None),
            }
        }
    }

    /// All that are left.
    pub async fn collect(mut self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await? {
            all.push(event);
        }
        Ok(all)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    data_of(&request.send().await?.text().await?)
}

/// The content of the envelope, or its error.
fn data_of(envelope: &str) -> Result<Value> {
    let mut envelope: Value = serde_json::from_str(envelope).with_context(|| format!("not an envelope: {envelope}"))?;
    if envelope["code"] != 0 {
        bail!("{}", envelope["message"].as_str().unwrap_or_default());
    }
    Ok(envelope["data"].take())
}
