//! A Postgres for an afternoon: prints its URL and runs until its standard input closes or it is killed.

use std::io;

use spark_simulator::postgres::{PostgresError, ThrowAwayPostgres};

#[expect(clippy::print_stdout, reason = "the URL is this program's answer")]
fn main() -> Result<(), PostgresError> {
    let server = ThrowAwayPostgres::start()?;
    println!("{}", server.folder().display());
    println!("{}", server.url("postgres"));
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
    Ok(())
}
