//! Where a trial leaves its logs and configurations: in a folder to look into, or in one that goes with it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Error, settings::Settings, system};

/// The folder of one trial.
#[derive(Debug)]
pub(crate) enum Traces {
    Kept(PathBuf),
    Passing(TempDir),
}

impl Traces {
    /// A folder of this name, if traces are kept.
    pub(crate) fn new(settings: &Settings, name: &str) -> Result<Self, Error> {
        Ok(match &settings.keep {
            Some(keep) => Self::Kept(keep.join(name)),
            None => Self::Passing(tempfile::tempdir().map_err(system("make a folder"))?),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Kept(folder) => folder,
            Self::Passing(folder) => folder.path(),
        }
    }

    /// Where a person finds it.
    pub(crate) fn kept(&self) -> Option<String> {
        match self {
            Self::Kept(folder) => Some(folder.display().to_string()),
            Self::Passing(_) => None,
        }
    }

    /// Nothing happened that anybody would look into.
    pub(crate) fn discard(self) -> Result<(), Error> {
        match self {
            Self::Kept(folder) => std::fs::remove_dir_all(folder).map_err(system("remove a trial's folder")),
            Self::Passing(_) => Ok(()),
        }
    }
}
