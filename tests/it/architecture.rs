//! The house: rooms stand on each other. A room imports the rooms below it, and nothing else; no two files import each other,
//! by whatever way round.

mod circles;
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use circles::circles;
use imports::{Import, Sources, Tree};

/// The ground: rooms that know nothing of payouts.
const GROUND: [&str; 6] = ["database", "jsonapi", "alarm", "clock", "metrics", "telemetry"];

/// Every room, from top to bottom, with the rooms that it may import besides the [`GROUND`].
const ROOMS: [(&str, &[&str]); 14] = [
    ("main", &["server", "config", "contract"]),
    (
        "server",
        &[
            "config",
            "contract",
            "sandbox",
            "api",
            "receipts",
            "web",
            "lifecycle",
            "concierge",
            "webhooks",
            "events",
            "faults",
            "accounts",
        ],
    ),
    ("config", &["contract", "web", "concierge", "webhooks", "events", "accounts"]),
    (
        "contract",
        &["sandbox", "api", "receipts", "web", "lifecycle", "concierge", "webhooks", "events", "faults", "accounts"],
    ),
    ("sandbox", &["api", "web", "lifecycle", "concierge", "webhooks", "events", "faults", "accounts"]),
    ("api", &["web", "lifecycle", "concierge", "webhooks", "events", "faults", "accounts"]),
    ("receipts", &["web", "lifecycle", "concierge", "webhooks", "events", "faults", "accounts"]),
    ("web", &["lifecycle", "concierge", "webhooks", "events", "faults", "accounts"]),
    ("lifecycle", &["concierge", "webhooks", "events", "faults", "accounts"]),
    ("concierge", &["webhooks", "events", "faults", "accounts"]),
    ("webhooks", &["events", "faults", "accounts"]),
    ("events", &["accounts"]),
    ("faults", &["accounts"]),
    ("accounts", &[]),
];

/// The rooms of the ground that import another one of it.
const WITHIN_GROUND: [(&str, &str); 2] = [("database", "jsonapi"), ("alarm", "clock")];

/// The one circle: the schemas of outputs and requests include each other.
const SCHEMAS: [&str; 2] = ["concierge/outputs/document.rs", "concierge/requests/document.rs"];

/// The source texts of this project, and their imports.
fn project() -> &'static (Sources, Tree) {
    static PROJECT: OnceLock<(Sources, Tree)> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let sources = sources();
        let tree = Tree::read(&sources);
        (sources, tree)
    })
}

fn sources() -> Sources {
    fn read(folder: &Path, root: &Path, sources: &mut Sources) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, root, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Sources::new();
    read(&root, &root, &mut sources);
    assert!(sources.len() > 150, "{} files", sources.len());
    sources
}

fn room_of(file: &str) -> &str {
    let room = file.split('/').next().unwrap();
    room.strip_suffix(".rs").unwrap_or(room)
}

/// The imports that the table of rooms forbids.
fn forbidden(imports: &BTreeSet<Import>) -> Vec<&Import> {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let is_forbidden = |import: &&Import| {
        let (from, to) = (room_of(&import.from), room_of(&import.to));
        let is_allowed = match rooms.get(from) {
            Some(below) => below.contains(&to) || GROUND.contains(&to),
            None => WITHIN_GROUND.contains(&(from, to)),
        };
        from != to && !is_allowed
    };
    imports.iter().filter(is_forbidden).collect()
}

#[test]
fn every_file_is_in_a_room_of_the_table() {
    let known: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).chain(GROUND).chain(["lib"]).collect();
    let sources = &project().0;
    let unknown: Vec<&String> = sources.keys().filter(|file| !known.contains(room_of(file))).collect();
    assert_eq!(unknown, [""; 0], "add the room to the table of tests/it/architecture/mod.rs and docs/architecture.md");
    let rooms: BTreeSet<&str> = sources.keys().map(|file| room_of(file)).collect();
    assert_eq!(rooms, known, "a room of the table has no file");
}

#[test]
fn the_table_lists_rooms_from_top_to_bottom() {
    for (floor, (room, below)) in ROOMS.iter().enumerate() {
        let lower: Vec<&str> = ROOMS[floor + 1..].iter().map(|(lower, _)| *lower).collect();
        for imported in *below {
            assert!(lower.contains(imported), "{room} may import {imported}, which is not below it");
        }
    }
}

#[test]
fn rooms_import_only_the_rooms_below_them() {
    let imports = project().1.imports();
    assert!(imports.len() > 500, "{} imports", imports.len());
    let forbidden = forbidden(&imports);
    assert_eq!(forbidden, [] as [&Import; 0]);
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let circles = circles(&project().1.imports());
    let expected = [SCHEMAS.map(str::to_owned).to_vec()];
    assert_eq!(circles, expected);
}

/// Adds a line to a file of this project, and returns the imports.
fn imports_with(file: &str, line: &str) -> BTreeSet<Import> {
    let (sources, tree) = project();
    let text = sources.get(file).unwrap_or_else(|| panic!("there is no {file}"));
    tree.imports_with(file, &format!("{text}\n{line}"))
}

#[test]
fn an_import_of_a_higher_room_is_found_in_every_form() {
    for (file, line, path) in [
        ("accounts/ids.rs", "use crate::web::app::App;", "crate::web::app::App"),
        ("accounts/ids.rs", "use crate::{clock::Clock, web::{app::App, call}};", "crate::web::app::App"),
        ("concierge/users/state.rs", "fn f() -> crate::lifecycle::Agenda { todo!() }", "crate::lifecycle::Agenda"),
        ("accounts/ids.rs", "use super::super::sandbox;\nfn f() { sandbox::routes(); }", "sandbox::routes"),
        (
            "jsonapi/error.rs",
            "fn f() { println!(\"{}\", crate::concierge::ports::PORTS.len()); }",
            "crate::concierge::ports::PORTS",
        ),
        ("jsonapi/error.rs", "const SQL: &str = concat!(crate::caller!());", "crate::caller"),
        ("faults/mod.rs", "use crate::api as doors;\nfn f() { doors::ROUTES.len(); }", "doors::ROUTES"),
        ("clock.rs", "fn f() { vec![crate::alarm::Alarm::default()]; }", "crate::alarm::Alarm::default"),
        ("web/app.rs", "pub use crate::server::*;", "crate::server"),
    ] {
        let imports = imports_with(file, line);
        let found: Vec<_> = forbidden(&imports).into_iter().map(|import| (&*import.from, &*import.path)).collect();
        assert_eq!(found, [(file, path)], "{line}");
    }
}

#[test]
fn a_circle_of_files_is_found_within_a_room_too() {
    for (file, line, of) in [
        ("accounts/time.rs", "use super::store::find;", "accounts/store.rs"),
        ("concierge/requests/state.rs", "fn f() { super::progress::Progress::f(); }", "concierge/requests/progress.rs"),
        ("jsonapi/mod.rs", "pub use negotiation::check_accept;", "jsonapi/negotiation.rs"),
    ] {
        let circles = circles(&imports_with(file, line));
        let is_found =
            circles.iter().any(|circle| circle.contains(&file.to_owned()) && circle.contains(&of.to_owned()));
        assert!(is_found, "{file} with {line:?}: {circles:?}");
    }
}
