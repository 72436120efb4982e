//! The events of a launch: what is being done, and what it came to.

use serde_json::{Map, Value};

use super::answer::text;
use super::{ConnectorError, Function};

/// What one event means for the launch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Work goes on, in this stage.
    Working(String),
    /// There is a function; the launch is not over yet.
    Running,
    /// The launch is over, and well.
    Done(Function),
    /// Nothing that matters.
    Nothing,
}

/// Follows a launch through its events.
#[derive(Debug, Default)]
pub(super) struct Stages {
    function: Option<Result<(String, String), ConnectorError>>,
    latest: String,
}

impl Stages {
    /// Takes one line of the stream. Lines that are no events are skipped.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Step, ConnectorError> {
        let line = line.trim_ascii();
        if line.starts_with(b"event:") {
            return Ok(Step::Nothing);
        }
        let line = line.strip_prefix(b"data:").unwrap_or(line);
        let Ok(event) = serde_json::from_slice::<Map<String, Value>>(line) else { return Ok(Step::Nothing) };
        let (stage, state, message) = (text(&event, "stage"), text(&event, "state"), text(&event, "message"));
        if stage.is_empty() {
            return Ok(Step::Nothing);
        }
        format!("{stage} {state}").trim_end().clone_into(&mut self.latest);
        match (stage, state) {
            (_, "failed") if message.is_empty() => {
                Err(ConnectorError::Stage(format!("the serverless connector failed in its stage {stage}")))
            }
            (_, "failed") => Err(ConnectorError::Stage(message.to_owned())),
            ("run", "success") => {
                self.function = Some(pairs(message));
                Ok(Step::Running)
            }
            ("start" | "build" | "run", _) => Ok(Step::Working(self.latest.clone())),
            ("end", _) => self.done().map(Step::Done),
            _ => Ok(Step::Nothing),
        }
    }

    /// The last event that was reported.
    pub(super) fn latest(&self) -> String {
        if self.latest.is_empty() { "none".to_owned() } else { self.latest.clone() }
    }

    fn done(&mut self) -> Result<Function, ConnectorError> {
        let (name, url) = self.function.take().unwrap_or(Err(ConnectorError::NoFunction))?;
        if name.is_empty() || url.is_empty() {
            return Err(ConnectorError::NoFunction);
        }
        Function::parse(&name, &url).map_err(ConnectorError::answer)
    }
}

/// Name and URL of `endpoint=<url>,name=<name>,id=<id>`.
fn pairs(message: &str) -> Result<(String, String), ConnectorError> {
    let (mut name, mut url) = (String::new(), String::new());
    for pair in message.split(',') {
        let (key, value) = pair
            .split_once('=')
            .filter(|(_, value)| !value.contains('='))
            .ok_or_else(|| ConnectorError::Pair(pair.to_owned()))?;
        match key.trim() {
            "endpoint" => value.trim().clone_into(&mut url),
            "name" => value.trim().clone_into(&mut name),
            _ => {}
        }
    }
    Ok((name, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a stream of lines: the steps that matter, then the result.
    fn check(lines: &[&str], expected: &[&str]) {
        let mut stages = Stages::default();
        let mut seen = Vec::new();
        for line in lines {
            seen.push(match stages.line(line.as_bytes()) {
                Ok(Step::Nothing) => continue,
                Ok(Step::Working(stage)) => stage,
                Ok(Step::Running) => "a function".to_owned(),
                Ok(Step::Done(function)) => format!("{} {}", function.name, function.url),
                Err(error) => error.to_string(),
            });
        }
        assert_eq!(seen, expected);
    }

    fn run(message: &str) -> String {
        format!(r#"data: {{"Stage":"run","State":"success","Message":"{message}"}}"#)
    }

    const END: &str = r#"data:{"Stage":"end","State":"success","Message":""}"#;

    #[test]
    fn a_launch() {
        check(
            &[
                ": comment",
                "event: message",
                r#"data: {"Stage":"healthz","State":"running"}"#,
                r#"data: {"Stage":"start","State":"running","Obj":"","Message":""}"#,
                r#"  {"stage":"build","STATE":"success"}  "#,
                r#"data: {"Stage":"run","State":"running","Message":"a=b=c"}"#,
                "data: not json",
                "data: []",
                r#"data: {"Stage":"unheard of","State":"running"}"#,
                &run("endpoint=http://h/f,name=f,id=1"),
                END,
            ],
            &["start running", "build success", "run running", "a function", "f http://h/f"],
        );
        check(
            &[&run("name=old,endpoint=http://old"), &run("name=f,endpoint=http://h"), END],
            &["a function", "a function", "f http://h/"],
        );
    }

    #[test]
    fn launches_that_fail() {
        for stage in ["healthz", "start", "build", "run", "end", "other"] {
            check(&[&format!(r#"data: {{"Stage":"{stage}","State":"failed","Message":"no room"}}"#)], &["no room"]);
        }
        check(
            &[r#"data: {"Stage":"build","State":"failed"}"#],
            &["the serverless connector failed in its stage build"],
        );
        let none = "Internal server error, failed to get lambda url or function name";
        check(&[END], &[none]);
        check(&[&run("name=f,id=1"), END], &["a function", none]);
        check(&[&run("endpoint=http://h,id=1"), END], &["a function", none]);
        check(&[&run("it runs"), END], &["a function", "invalid key-value pair: it runs"]);
        check(
            &[&run("endpoint=http://h?a=b,name=f"), END],
            &["a function", "invalid key-value pair: endpoint=http://h?a=b"],
        );
        check(
            &[&run("endpoint=/f,name=f"), END],
            &[
                "a function",
                "unexpected response from plugin controller: the function's URL '/f' is none: relative URL without a base",
            ],
        );
    }

    proptest::proptest! {
        #[test]
        fn no_lines_panic(lines: Vec<Vec<u8>>) {
            let mut stages = Stages::default();
            for line in lines {
                drop(stages.line(&line));
            }
        }
    }
}
