//! Prompts. Every command that prompts also takes the answers as flags.

mod permissions;

use std::fmt::Display;
use std::io::{IsTerminal, stdin, stdout};

use inquire::validator::{StringValidator, Validation};
use inquire::{Confirm, InquireError, MultiSelect, Select, Text};

use crate::failure::Failure;

pub(crate) use self::permissions::edit_permissions;

/// The answer to a prompt.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Given(T),
    /// The user wants to go back to the question before.
    Back,
}

/// Refuses to prompt without a terminal; `instead` says which flags to give.
pub(crate) fn need_terminal(instead: &str) -> Result<(), Failure> {
    if stdin().is_terminal() && stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage("this command asks questions, and there is no terminal to ask them in").hint(instead))
}

/// Asks for a text. `check` says what is wrong with an answer; without one, `default` is taken.
pub(crate) fn text(
    question: &str,
    help: &str,
    default: &str,
    check: impl Fn(&str) -> Result<(), String> + Clone + 'static,
) -> Result<Answer<String>, Failure> {
    let validator = move |text: &str| {
        Ok(match check(text.trim()) {
            Ok(()) => Validation::Valid,
            Err(reason) => Validation::Invalid(reason.into()),
        })
    };
    let validator: Box<dyn StringValidator> = Box::new(validator);
    let mut prompt = Text::new(question).with_help_message(help);
    prompt.validators = vec![validator];
    if !default.is_empty() {
        prompt = prompt.with_default(default);
    }
    answer(prompt.prompt().map(|text| text.trim().to_owned()))
}

/// Asks for one of several; the cursor begins at `start`.
pub(crate) fn choose<T: Display>(question: &str, choices: Vec<T>, start: usize) -> Result<Answer<T>, Failure> {
    answer(Select::new(question, choices).with_starting_cursor(start).with_page_size(12).prompt())
}

/// Asks for any number of several.
pub(crate) fn choose_some<T: Display>(question: &str, choices: Vec<T>) -> Result<Answer<Vec<T>>, Failure> {
    answer(MultiSelect::new(question, choices).prompt())
}

/// Asks for a yes.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    match answer(Confirm::new(question).with_default(false).prompt())? {
        Answer::Given(yes) => Ok(yes),
        Answer::Back => Ok(false),
    }
}

fn answer<T>(result: Result<T, InquireError>) -> Result<Answer<T>, Failure> {
    match result {
        Ok(value) => Ok(Answer::Given(value)),
        Err(InquireError::OperationCanceled) => Ok(Answer::Back),
        Err(InquireError::OperationInterrupted) => Err(cancelled()),
        Err(error) => Err(Failure::new("failed to ask").because(error)),
    }
}

/// The user has pressed ctrl+c.
pub(crate) fn cancelled() -> Failure {
    Failure::new("cancelled: nothing was changed")
}

/// A rule of a text as an answer's check.
pub(crate) fn rule(is_good: fn(&str) -> bool, rule: &'static str) -> impl Fn(&str) -> Result<(), String> + Clone {
    move |text| if is_good(text) { Ok(()) } else { Err(rule.to_owned()) }
}
