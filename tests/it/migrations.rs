//! The migrations embedded in the program.

use std::fs;
use std::path::Path;

use concierge_sandbox::database::migrations::FILES;

#[test]
fn every_migration_file_is_embedded_under_its_number() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    files.sort();
    let embedded: Vec<String> = FILES.iter().map(|(_, name, _)| format!("{name}.sql")).collect();
    assert_eq!(embedded, files);
    for (number, name, _) in FILES {
        assert!(name.starts_with(&format!("{number:04}_")), "{number}: {name}");
    }
}
