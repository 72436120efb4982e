//! What a caller hears while an environment is made.

/// A step on the way to a plugin that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The package is unpacked into the working directory.
    Unpack,
    /// Another plugin with the same dependencies is being prepared, or as many builds as allowed are running.
    Wait,
    /// The Python environment is created.
    Create,
    /// Dependencies are resolved, downloaded and installed.
    Install,
    /// Bytecode is compiled.
    Compile,
}

impl Step {
    /// The step in words, as it may stand in an install task's message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unpack => "unpacking",
            Self::Wait => "waiting",
            Self::Create => "creating environment",
            Self::Install => "installing dependencies",
            Self::Compile => "compiling",
        }
    }
}

/// Hears of steps and of the lines that tools print. Called on the task that prepares: it must not block.
pub trait Progress: Send + Sync {
    /// `detail` is one line of output, or empty when the step begins.
    fn report(&self, step: Step, detail: &str);
}

impl<F: Fn(Step, &str) + Send + Sync> Progress for F {
    fn report(&self, step: Step, detail: &str) {
        self(step, detail);
    }
}

/// Progress that is not reported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: Step, _: &str) {}
}
