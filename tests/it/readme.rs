//! The README says what is.

use std::collections::BTreeSet;

use clap::CommandFactory;
use concierge_sandbox::config::Cli;
use concierge_sandbox::jsonapi::error::Code;
use concierge_sandbox::{accounts, concierge, jsonapi};

const README: &str = include_str!("../../README.md");

#[test]
fn it_lists_every_error_code() {
    let rooms = [jsonapi::error::CODES, accounts::caller::CODES];
    let codes = rooms.into_iter().chain(concierge::CODES).flatten();
    let row = |code: &Code| format!("| {} | `{}` | {} |", code.status, code.name, code.title);
    let expected: BTreeSet<String> = codes.map(row).collect();
    let errors = README.split("## Errors").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<String> = errors.lines().filter(|line| line.contains("| `")).map(str::to_owned).collect();
    assert_eq!(listed, expected);
}

#[test]
fn it_lists_every_setting() {
    let command = Cli::command();
    let settings = command.get_arguments().filter(|setting| setting.get_env().is_some());
    let row = |setting: &clap::Arg| {
        let env = setting.get_env().unwrap().to_string_lossy().into_owned();
        let default = setting.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        (format!("--{}", setting.get_long().unwrap()), env, default)
    };
    let expected: BTreeSet<_> = settings.map(row).collect();
    let rows = README.split("## Settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<_> = rows
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let default = cells[3].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).map(str::to_owned);
            (cells[1].trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned(), default)
        })
        .collect();
    assert_eq!(listed, expected);
}
