//! Where Postgres' programs are, and whom to run them as.
//!
//! `PG_BIN` comes first, so that a person can always decide; then what the machine's own `pg_config` says.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What installs Postgres on this kind of machine.
pub const INSTALL_LINE: &str = if cfg!(target_os = "macos") {
    "brew install postgresql@17"
} else {
    "apt-get install -y build-essential postgresql"
};

/// The folder with `initdb` and `postgres`, or `None` if they are nowhere.
pub(super) fn programs() -> Option<PathBuf> {
    candidates().into_iter().find(|folder| complete(folder))
}

/// The user and group ids of `postgres`, else of `nobody`.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|name| {
        let user = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let fields = user.into_iter().find(|fields| fields.first() == Some(name))?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    })
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("PG_BIN").map(PathBuf::from).into_iter().collect();
    if let Ok(answer) = Command::new("pg_config").arg("--bindir").output()
        && answer.status.success()
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    }
    let roots = [
        "/usr/lib/postgresql",
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/Applications/Postgres.app/Contents/Versions",
    ];
    for root in roots {
        let versions = fs::read_dir(root).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        found.sort_by_key(|folder| std::cmp::Reverse(version_of(folder)));
        folders.extend(found);
    }
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders
}

fn complete(folder: &Path) -> bool {
    folder.join("initdb").exists() && folder.join("postgres").exists()
}

/// The digits of a path like `/usr/lib/postgresql/17/bin`: text order would put 9 before 17.
fn version_of(folder: &Path) -> u32 {
    let digits: String = folder.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
