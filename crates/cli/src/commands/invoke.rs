//! `dify plugin invoke`: one call of a plugin, in this process, on a port or in a daemon.

mod answer;
mod data;
mod target;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use plugin_protocol::Action;
use plugin_service::config::Secret;

use self::answer::Answers;
use self::target::Target;
use super::secret;
use crate::executor::{block_on, ended};
use crate::failure::Failure;
use crate::local;
use crate::printer::Printer;

#[derive(Debug, Args)]
#[command(after_help = "\
The request is a sample made from the plugin's declarations, changed by the flags; --sample only prints it. Calls back of
the plugin get sample answers, unless it is called through a daemon.

Examples:
  dify plugin invoke ./demo
  dify plugin invoke ./demo -p query=hello --credential api_key=secret
  dify plugin invoke ./demo --tool search -p query=hello --json
  dify plugin invoke ./demo --action validate_tool_credentials --credential api_key=secret
  dify plugin invoke demo.difypkg --data @request.json
  dify plugin invoke ./demo --connect 127.0.0.1:5005
  dify plugin invoke acme/demo:0.0.1@<checksum> --daemon http://localhost:5002 --key $SERVER_KEY")]
pub(crate) struct Arguments {
    /// The folder of a plugin, a package, or (with --daemon) the unique identifier of an installed plugin
    #[arg(default_value = ".")]
    target: String,
    /// Action [default: the main action of such a plugin]
    #[arg(short, long, value_parser = action)]
    #[arg(
        help = "Action, such as invoke_tool or validate_tool_credentials [default: the main action of such a plugin]"
    )]
    action: Option<Action>,
    /// Tool, model, strategy, event or datasource to call [default: the first]
    #[arg(short, long, value_name = "NAME", visible_aliases = ["tool", "model"])]
    name: Option<String>,
    /// A parameter of the call; the value is JSON, or else a text
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// A credential; the value is JSON, or else a text
    #[arg(long = "credential", value_name = "NAME=VALUE")]
    credentials: Vec<String>,
    /// Any value of the request, by its path: `model_parameters.temperature=0.5`
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The whole request: JSON, @FILE, or - for standard input
    #[arg(short, long)]
    data: Option<String>,
    /// ID of the calling user
    #[arg(long, value_name = "ID", default_value = "dify-cli")]
    user: String,
    /// Print the request without calling the plugin
    #[arg(long)]
    sample: bool,
    /// Print each chunk as a line of JSON
    #[arg(long)]
    json: bool,
    /// Print the plugin's log
    #[arg(short = 'l', long)]
    logs: bool,
    /// Call a plugin that `plugin dev` or `plugin run --mode tcp` runs
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "daemon")]
    connect: Option<String>,
    /// Call an installed plugin through this daemon
    #[arg(long, value_name = "URL", requires = "key")]
    daemon: Option<String>,
    /// The daemon's `SERVER_KEY`
    #[arg(long, env = "SERVER_KEY", hide_env_values = true, value_parser = secret)]
    key: Option<Secret>,
    /// Fail when it takes longer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

fn action(name: &str) -> Result<Action, String> {
    let found = Action::ALL.iter().copied().find(|action| action.as_str() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        format!("there is no such action; there are {}", names.join(", "))
    })
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let target = Target::find(&self)?;
        let (action, request) = data::request(&self, target.declaration())?;
        for parameter in target.declaration().map(|known| data::undeclared(known, action, &request)).unwrap_or_default()
        {
            printer.note(format_args!("{} {parameter}", printer.painted("33;1", "warning:")));
        }
        if self.sample {
            return Ok(printer.line(serde_json::to_string_pretty(&request)?)?);
        }
        let text = local::mended(action, &request.to_string()).map_err(|problems| {
            Failure::usage(format!("the request is not one of {action}:\n{problems}"))
                .hint("--sample shows a request that is; give values with -p, --credential, --set or --data")
        })?;
        let answers = Answers::new(printer, self.json, action);
        block_on(target.call(&self, action, text, answers, printer))
    }

    /// Runs a call until it is done, the time limit is reached, or the program is asked to end.
    async fn bounded(&self, call: impl Future<Output = Result<()>>) -> Result<()> {
        let limit = Duration::from_secs(self.timeout);
        tokio::select! {
            outcome = tokio::time::timeout(limit, call) => outcome.unwrap_or_else(|_| {
                let text = format!("no answer in {} s", limit.as_secs());
                Err(Failure::new(text).hint("give it more time with --timeout").into())
            }),
            () = ended() => Err(Failure::new("interrupted").into()),
        }
    }

    /// The target as a path.
    fn path(&self) -> PathBuf {
        PathBuf::from(&self.target)
    }
}
