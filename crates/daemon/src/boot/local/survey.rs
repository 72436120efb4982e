//! What is wrong in the working path, for the log and `/ready`.

use plugin_runtime::local::environment::{Environments, Survey};
use plugin_service::base::Readiness;

/// The component of `/ready`.
const COMPONENT: &str = "working path";
/// At most this many foreign files and folders are named; the rest are counted.
const NAMED: usize = 20;

/// Looks at the working path once, and says what operators should know of it.
pub(super) async fn report(environments: &Environments, readiness: &Readiness) {
    match environments.survey().await {
        Ok(survey) => show(&survey, readiness),
        Err(error) => {
            tracing::warn!(%error, "plugins cannot be installed or started");
            readiness.failing(COMPONENT, error.to_string());
        }
    }
}

fn show(survey: &Survey, readiness: &Readiness) {
    for folder in &survey.unusable {
        tracing::warn!(why = %folder, "plugins of a folder cannot be installed, started or removed");
    }
    for path in survey.foreign.iter().take(NAMED) {
        tracing::info!(path = %path.display(), "left alone what is in the working path and not the daemon's");
    }
    if let Some(more) = survey.foreign.len().checked_sub(NAMED).filter(|more| *more > 0) {
        tracing::info!(more, "left alone more of what is not the daemon's");
    }
    match survey.unusable.as_slice() {
        [] => readiness.ready(COMPONENT),
        [first, others @ ..] => {
            let more = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
            readiness.failing(COMPONENT, format!("{first}{more}"))
        }
    };
}

#[cfg(test)]
mod tests {
    use plugin_runtime::local::environment::Unusable;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_a_component_that_fails() {
        let readiness = Readiness::default();
        show(&Survey { foreign: vec!["/x/notes".into()], ..Survey::default() }, &readiness);
        assert_eq!(readiness.report().components[COMPONENT], "ok");
        let folder = |name: &str| Unusable { path: format!("/x/{name}").into(), owner: 1234, mode: 0o755 };
        show(&Survey { unusable: vec![folder("a"), folder("b")], ..Survey::default() }, &readiness);
        let report = readiness.report();
        assert!(report.ready, "other plugins run");
        let said = &report.components[COMPONENT];
        assert!(said.starts_with("failing: user ") && said.ends_with("/x/a; and 1 more"), "{said}");
        assert!(said.contains("it belongs to user 1234 with mode 755"), "{said}");
    }
}
