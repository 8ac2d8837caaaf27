//! The documents agree with the code: their tables, diagrams, links and sizes. [`lists`] holds one table, [`sessions`] runs their commands.

mod lists;
mod sessions;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use concierge_sandbox::concierge::outputs::scenario::{TEST_VALUES, TestValue};
use concierge_sandbox::concierge::{outputs, requests};
use concierge_sandbox::config::Cli;
use concierge_sandbox::jsonapi::error::Code;
use concierge_sandbox::sandbox::advice::AdviceKind;
use concierge_sandbox::{accounts, concierge, database, jsonapi, sandbox};

const README: &str = "README.md";
const CONTRIBUTING: &str = ".github/CONTRIBUTING.md";

/// A document, by its path from the root of the repository.
struct Page {
    path: String,
    text: String,
}

/// A block of code.
struct Block<'a> {
    /// The nearest heading above, without its `#`.
    heading: &'a str,
    /// The text behind the opening fence, such as `sh` or `sh docker`.
    info: &'a str,
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A document by its path.
fn page(path: &str) -> Page {
    let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Page { path: path.to_owned(), text }
}

/// Every document: README, CONTRIBUTING, and `docs/` by name.
fn pages() -> Vec<Page> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs: BTreeSet<String> = docs.map(|name| format!("docs/{}", name.into_string().unwrap())).collect();
    [README, CONTRIBUTING].into_iter().map(page).chain(docs.iter().map(|path| page(path))).collect()
}

impl Page {
    /// Each line, whether it is code, and the heading above.
    fn lines(&self) -> Vec<(&str, bool, &str)> {
        let (mut is_code, mut heading) = (false, "");
        let mut lines = Vec::new();
        for line in self.text.lines() {
            let is_fence = line.starts_with("```");
            if line.starts_with('#') && !is_code {
                heading = line.trim_start_matches('#').trim();
            }
            lines.push((line, is_code || is_fence, heading));
            is_code ^= is_fence;
        }
        assert!(!is_code, "{} ends inside of a block", self.path);
        lines
    }

    fn headings(&self) -> Vec<&str> {
        let lines = self.lines();
        lines.iter().filter(|(line, is_code, _)| line.starts_with('#') && !is_code).map(|line| line.2).collect()
    }

    /// The lines from a heading to the next one.
    fn section(&self, heading: &str) -> Vec<&str> {
        let lines = self.lines();
        let lines: Vec<&str> = lines.iter().filter(|line| line.2 == heading).map(|line| line.0).collect();
        assert!(!lines.is_empty(), "{} has no heading {heading:?}", self.path);
        lines
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block<'_>> = None;
        for (line, _, heading) in self.lines() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(info), None) => open = Some(Block { heading, info, code: String::new() }),
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(block)) => open = Some(Block { code: block.code + line + "\n", ..block }),
                (None, None) => {}
            }
        }
        blocks
    }

    /// The targets of links outside of code, without the web's.
    fn links(&self) -> Vec<String> {
        let prose = self.lines().into_iter().filter(|(_, is_code, _)| !is_code).map(|(line, ..)| line);
        let targets = prose.flat_map(|line| line.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()));
        targets.filter(|target| !target.starts_with("http")).map(str::to_owned).collect()
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// Adds the source files of a folder.
fn add_sources(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            add_sources(&entry, sources);
        } else {
            sources.push_str(&std::fs::read_to_string(&entry).unwrap_or_default());
        }
    }
}

#[test]
fn every_promise_and_every_bound_has_its_test() {
    let mut sources = String::new();
    add_sources(&root().join("tests"), &mut sources);
    for (path, heading) in [("docs/reliability.md", "Promises"), ("docs/configuration.md", "Bounds")] {
        let page = page(path);
        let rows: Vec<&str> = page.section(heading).into_iter().filter(|line| line.starts_with("| ")).skip(2).collect();
        assert!(rows.len() > 15, "{path}");
        for row in rows {
            let test = row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`');
            assert!(sources.contains(&format!("fn {test}(")), "no test {test:?} of {row}");
        }
    }
}

#[test]
fn errors_lists_every_error_code() {
    let rooms = [jsonapi::error::CODES, database::error::CODES, accounts::caller::CODES];
    let codes = rooms.into_iter().chain(concierge::CODES).chain(sandbox::CODES).flatten();
    let row = |code: &Code| format!("| {} | `{}` | {} |", code.status, code.name, code.title);
    let expected: BTreeSet<String> = codes.map(row).collect();
    let page = page("docs/errors.md");
    let listed = page.section("Codes").into_iter().filter(|line| line.contains("| `"));
    assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn configuration_lists_every_setting() {
    let command = Cli::command();
    let settings = command.get_arguments().filter(|setting| setting.get_env().is_some());
    let row = |setting: &clap::Arg| {
        let env = setting.get_env().unwrap().to_string_lossy().into_owned();
        let default = setting.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        (format!("--{}", setting.get_long().unwrap()), env, default)
    };
    let expected: BTreeSet<_> = settings.map(row).collect();
    let page = page("docs/configuration.md");
    let rows = page.section("Settings").into_iter().filter(|line| line.starts_with("| `--"));
    let listed = rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let default = cells[3].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).map(str::to_owned);
        (cells[1].trim_matches('`').to_owned(), cells[2].trim_matches('`').to_owned(), default)
    });
    assert_eq!(listed.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn readme_lists_every_test_value() {
    let row = |value: &TestValue| {
        let TestValue { bank_account_number, email, what, .. } = value;
        let (name, label) = (value.name.replace('|', "\\|"), value.label.replace('|', "\\|"));
        format!("| `{name}` | `{label}` | `{bank_account_number}` | `{email}@` | {what} |")
    };
    let expected: Vec<String> = TEST_VALUES.iter().map(row).collect();
    let page = page(README);
    let listed: Vec<&str> = page.section("Test values").into_iter().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn faults_lists_every_piece_of_advice() {
    let expected = AdviceKind::ALL.map(|kind| format!("| `{}` | {} |", kind.code(), kind.title()));
    let page = page("docs/faults.md");
    let listed: Vec<&str> = page.section("Advice").into_iter().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn payouts_draws_the_state_machines() {
    let page = page("docs/payouts.md");
    let blocks = page.blocks().into_iter().filter(|block| block.info == "mermaid");
    let drawn: Vec<(&str, String)> = blocks.map(|block| (block.heading, block.code)).collect();
    let expected = [
        ("States of a request", requests::state::MACHINE.mermaid()),
        ("States of an output", outputs::state::MACHINE.mermaid()),
    ];
    assert_eq!(drawn, expected);
}

#[test]
fn readme_and_contributing_stay_short() {
    for (path, most) in [(README, 190), (CONTRIBUTING, 100)] {
        let lines = page(path).text.lines().count();
        assert!(lines <= most, "{path} has {lines} lines; {most} are the most");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut dead = Vec::new();
    for from in pages() {
        let folder = Path::new(&from.path).parent().unwrap().to_owned();
        for link in from.links() {
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { PathBuf::from(&from.path) } else { folder.join(path) };
            let is_there = root().join(&target).exists()
                && (fragment.is_empty()
                    || page(target.to_str().unwrap())
                        .headings()
                        .into_iter()
                        .any(|heading| anchor(heading) == fragment));
            if !is_there {
                dead.push(format!("{}: {link}", from.path));
            }
        }
    }
    assert_eq!(dead, [""; 0]);
}

#[test]
fn headings_of_a_page_differ() {
    for page in pages() {
        let headings = page.headings();
        let anchors: BTreeSet<String> = headings.iter().map(|heading| anchor(heading)).collect();
        assert_eq!(anchors.len(), headings.len(), "{}: {headings:?}", page.path);
    }
}

#[test]
fn readme_and_every_page_link_each_other() {
    let index = page(README).links();
    for page in pages().into_iter().filter(|page| page.path != README) {
        assert!(index.contains(&page.path), "README leads to no {}", page.path);
        let is_linked = page.links().iter().any(|link| link == "../README.md");
        assert!(is_linked, "{} doesn't lead back to README", page.path);
    }
}

/// Paths stand in backticks and have a slash; folders end in one.
#[test]
fn architecture_names_files_that_exist() {
    let is_path = |text: &&str| {
        let is_named = text.ends_with('/') || Path::new(text).extension().is_some_and(|extension| extension == "rs");
        is_named && text.contains('/') && text.chars().all(|letter| letter.is_alphanumeric() || "_/.".contains(letter))
    };
    let mut missing = Vec::new();
    for page in [page("docs/architecture.md"), page(CONTRIBUTING)] {
        let named = page.text.split('`').skip(1).step_by(2).filter(is_path);
        let is_missing = |path: &&str| !["", "src", "tests/it"].iter().any(|at| root().join(at).join(path).exists());
        missing.extend(named.filter(is_missing).map(|path| format!("{}: {path}", page.path)));
    }
    assert_eq!(missing, [""; 0]);
}
