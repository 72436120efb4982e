//! What is wrong in the working path, for the log and `/ready`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plugin_runtime::local::environment::{EnvironmentError, Environments, Survey};
use plugin_service::base::{Base, Readiness};

/// The component of `/ready`.
const COMPONENT: &str = "working path";
/// At most this many foreign files and folders are named; the rest are counted.
const NAMED: usize = 20;

/// How often the working path is looked at: what was mended is to show.
const EVERY: Duration = Duration::from_mins(1);

/// Looks at the working path again and again, and says once what operators should know of it.
pub(super) async fn watch(environments: Arc<Environments>, base: Arc<Base>) {
    let mut told = Told::default();
    let look = async {
        loop {
            match environments.survey().await {
                Ok(survey) => told.show(&survey, &base.readiness),
                Err(error) => told.fail(&error, &base.readiness),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    base.lifecycle.soft().run_until_cancelled(look).await;
}

/// What the log has; what has come up again is told again.
#[derive(Debug, Default)]
struct Told {
    troubles: BTreeSet<String>,
    foreign: BTreeSet<PathBuf>,
}

impl Told {
    fn fail(&mut self, error: &EnvironmentError, readiness: &Readiness) {
        let text = error.to_string();
        if self.troubles.insert(text.clone()) {
            tracing::warn!(%error, "plugins cannot be installed or started");
        }
        readiness.failing(COMPONENT, text);
    }

    fn show(&mut self, survey: &Survey, readiness: &Readiness) {
        let mut failing = Vec::new();
        let before = std::mem::take(&mut self.troubles);
        let mut is_new = |why: String| {
            let is_new = !before.contains(&why);
            self.troubles.insert(why);
            is_new
        };
        for lacking in &survey.lacks {
            let why = lacking.to_string();
            if lacking.lack.is_fatal() {
                failing.push(why.clone());
                if is_new(why) {
                    tracing::warn!(why = %lacking, "plugins that need a new environment cannot be installed");
                }
            } else if is_new(why) {
                tracing::info!(%lacking, "the working path does with less");
            }
        }
        for folder in &survey.unusable {
            let why = folder.to_string();
            failing.push(why.clone());
            if is_new(why) {
                tracing::warn!(why = %folder, "plugins of a folder cannot be installed, started or removed");
            }
        }
        if let Some(cache) = &survey.cache
            && is_new(cache.to_string())
        {
            tracing::warn!(why = %cache, "uv's cache cannot be used: packages are fetched anew for each environment");
        }
        self.name_foreign(&survey.foreign);
        match failing.as_slice() {
            [] => readiness.ready(COMPONENT),
            [first] => readiness.failing(COMPONENT, first.clone()),
            [first, others @ ..] => readiness.failing(COMPONENT, format!("{first}; and {} more", others.len())),
        };
    }

    fn name_foreign(&mut self, foreign: &[PathBuf]) {
        let mut unnamed = 0_usize;
        for path in foreign.iter().filter(|path| !self.foreign.contains(*path)).collect::<Vec<_>>() {
            if self.foreign.len() < NAMED {
                tracing::info!(path = %path.display(), "left alone what is in the working path and not the daemon's");
            } else {
                unnamed += 1;
            }
            self.foreign.insert(path.clone());
        }
        if unnamed > 0 {
            tracing::info!(more = unnamed, "left alone more of what is not the daemon's");
        }
    }
}

#[cfg(test)]
mod tests {
    use plugin_runtime::local::environment::{Lack, Lacking, Unusable};
    use plugin_service::telemetry::testing::Logged;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_a_component_that_fails() {
        let (readiness, logged, mut told) = (Readiness::default(), Logged::on_this_thread(), Told::default());
        told.show(&Survey { foreign: vec!["/x/notes".into()], ..Survey::default() }, &readiness);
        assert_eq!(readiness.report().components[COMPONENT], "ok");
        let folder = |name: &str| Unusable { path: format!("/x/{name}").into(), owner: 1234, mode: 0o755 };
        let ill = Survey { unusable: vec![folder("a"), folder("b")], ..Survey::default() };
        told.show(&ill, &readiness);
        told.show(&ill, &readiness);
        let report = readiness.report();
        assert!(report.ready, "other plugins run");
        let said = &report.components[COMPONENT];
        assert!(said.starts_with("failing: user ") && said.ends_with("/x/a; and 1 more"), "{said}");
        assert!(said.contains("it belongs to user 1234 with mode 755"), "{said}");
        // mended, and ill again
        told.show(&Survey::default(), &readiness);
        assert_eq!(readiness.report().components[COMPONENT], "ok");
        told.show(&ill, &readiness);
        let text = logged.text();
        assert_eq!((text.matches("cannot write in /x/a").count(), text.matches("/x/notes").count()), (2, 1), "{text}");
    }

    #[test]
    fn a_file_system_that_will_not_do_is_a_component_that_fails() {
        let (readiness, logged, mut told) = (Readiness::default(), Logged::on_this_thread(), Told::default());
        let lacking = |lack| Lacking { working_path: "/x".into(), lack };
        told.show(&Survey { lacks: vec![lacking(Lack::HardLinks)], ..Survey::default() }, &readiness);
        assert_eq!(readiness.report().components[COMPONENT], "ok");
        told.show(
            &Survey { lacks: [Lack::HardLinks, Lack::SymbolicLinks].map(lacking).into(), ..Survey::default() },
            &readiness,
        );
        let said = "no environment can be made in /x: its file system has no symbolic links, of which environments are \
                    made; name a folder elsewhere (PLUGIN_WORKING_PATH)";
        assert_eq!(readiness.report().components[COMPONENT], format!("failing: {said}"));
        let text = logged.text();
        assert!(text.contains("each environment takes the room of all its packages"), "{text}");
        assert_eq!(text.matches(said).count(), 1, "{text}");
    }
}
