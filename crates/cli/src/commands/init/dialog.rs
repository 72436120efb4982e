//! The questions of `plugin init`, one after the other; Esc goes back to the one before.

use std::fmt;

use super::is_url;
use crate::failure::Failure;
use crate::interact::{self, Answer, need_terminal, rule};
use crate::printer::Printer;
use crate::scaffold::{AUTHOR_RULE, Category, Language, NAME_RULE, Project, is_author, is_name};
use crate::version::Version;

const BACK: &str = "Esc goes back, ctrl+c leaves";

/// Whether there is a terminal to prompt in.
pub(super) fn is_possible() -> bool {
    need_terminal("").is_ok()
}

/// One question.
type Question = fn(&mut Project, Printer) -> Result<Answer<()>, Failure>;

const QUESTIONS: [Question; 8] =
    [name, author, description, repository, languages, category, permissions, minimum_version];

/// Asks for what makes a project; what is known of it is offered as the answer.
pub(super) fn ask(printer: Printer, mut project: Project) -> Result<Project, Failure> {
    need_terminal("say all with flags: dify plugin init --quick --name demo --author acme --description 'A demo'")?;
    let mut at: usize = 0;
    while let Some(question) = QUESTIONS.get(at) {
        at = match question(&mut project, printer)? {
            Answer::Given(()) => at + 1,
            Answer::Back => at.saturating_sub(1),
        };
    }
    Ok(project)
}

/// Keeps an answer where it belongs.
fn keep<T>(answer: Answer<T>, put: impl FnOnce(T)) -> Answer<()> {
    match answer {
        Answer::Given(value) => {
            put(value);
            Answer::Given(())
        }
        Answer::Back => Answer::Back,
    }
}

fn name(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let help = format!("a folder of this name is created; {BACK}");
    let answer = interact::text("Name of the plugin:", &help, &project.name, rule(is_name, NAME_RULE))?;
    Ok(keep(answer, |name| project.name = name))
}

fn author(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let answer = interact::text("Author:", BACK, &project.author, rule(is_author, AUTHOR_RULE))?;
    Ok(keep(answer, |author| project.author = author))
}

fn description(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let is_text = rule(|text| !text.is_empty(), "description cannot be empty");
    let answer = interact::text("What it does, in a sentence:", BACK, &project.description, is_text)?;
    Ok(keep(answer, |description| project.description = description))
}

fn repository(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let present = project.repository.clone().unwrap_or_default();
    let is_good = rule(|text| text.is_empty() || is_url(text), "write the whole address, with https://");
    let answer = interact::text("Address of its repository (may be empty):", BACK, &present, is_good)?;
    Ok(keep(answer, |text| project.repository = Some(text).filter(|text| !text.is_empty())))
}

/// A choice as the list shows it.
struct Choice<T> {
    value: T,
    text: String,
}

impl<T> fmt::Display for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn languages(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let names = [(Language::Chinese, "简体中文"), (Language::Japanese, "日本語"), (Language::Portuguese, "Português")];
    let choices = names.map(|(value, name)| Choice { value, text: format!("{} {name}", value.code()) });
    let answer = interact::choose_some("READMEs in other languages than English:", choices.into())?;
    Ok(keep(answer, |chosen| project.languages = chosen.into_iter().map(|choice| choice.value).collect()))
}

fn category(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let choices =
        Category::ALL.map(|value| Choice { value, text: format!("{:<15} {}", value.as_str(), value.explanation()) });
    let start = Category::ALL.iter().position(|category| *category == project.category).unwrap_or(0);
    let answer = interact::choose("What kind of plugin is it?", choices.into(), start)?;
    Ok(keep(answer, |choice| {
        project.category = choice.value;
        project.permissions.add_those_of(choice.value);
    }))
}

fn permissions(project: &mut Project, printer: Printer) -> Result<Answer<()>, Failure> {
    interact::edit_permissions(printer, &mut project.permissions)
}

fn minimum_version(project: &mut Project, _: Printer) -> Result<Answer<()>, Failure> {
    let present = project.minimum_dify_version.clone().unwrap_or_default();
    let is_good = rule(
        |text| text.is_empty() || text.parse::<Version>().is_ok(),
        "write three numbers, such as 1.4.0, or nothing",
    );
    let answer = interact::text("Oldest version of Dify that can run it (may be empty):", BACK, &present, is_good)?;
    Ok(keep(answer, |text| project.minimum_dify_version = Some(text).filter(|text| !text.is_empty())))
}
