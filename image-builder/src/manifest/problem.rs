//! What can be wrong with a manifest, and where.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// One mistake: its line (from 1), what it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub line: usize,
    pub what: String,
    /// What to do.
    pub hint: String,
}

#[derive(Debug)]
pub enum Error {
    Read(PathBuf, io::Error),
    Invalid(PathBuf, Vec<Problem>),
}

impl Problem {
    pub fn at(text: &str, span: Range<usize>, what: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..span.start.min(text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Self {
            line,
            what: what.into(),
            hint: String::new(),
        }
    }

    /// At the line that sets `key` at the top level (line 1 when there is none).
    pub fn at_key(text: &str, key: &str, what: impl Into<String>) -> Self {
        let sets = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let line = 1 + text.lines().position(sets).unwrap_or(0);
        Self {
            line,
            what: what.into(),
            hint: String::new(),
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read(path, error) if error.kind() == io::ErrorKind::NotFound => write!(
                f,
                "{} does not exist\n  next: create it; an empty file is enough, `ports = [8080]` says where the app listens",
                path.display()
            ),
            Error::Read(path, error) => write!(
                f,
                "cannot read {}: {error}{}",
                path.display(),
                crate::advice::next(error)
            ),
            Error::Invalid(path, problems) => {
                write!(
                    f,
                    "{} in the manifest",
                    if problems.len() == 1 { "a mistake" } else { "mistakes" }
                )?;
                for problem in problems {
                    write!(f, "\n  {}:{}: {}", path.display(), problem.line, problem.what)?;
                    write!(f, "\n    hint: {}", problem.hint)?;
                }
                Ok(())
            }
        }
    }
}
