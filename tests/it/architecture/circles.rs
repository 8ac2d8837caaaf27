//! Finds files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Import;

/// Returns the largest sets of files in which each file reaches each other one by imports.
pub fn circles(imports: &BTreeSet<Import>) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|file| (*file, reachable(file, &next))).collect();
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|files| files.contains(to));
    let mut circles: Vec<Vec<String>> = Vec::new();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    for file in next.keys() {
        if !leads(file, file) || placed.contains(file) {
            continue;
        }
        let circle: Vec<&str> = reached[file].iter().copied().filter(|other| leads(other, file)).collect();
        placed.extend(&circle);
        circles.push(circle.into_iter().map(str::to_owned).collect());
    }
    circles
}

fn reachable<'a>(file: &str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&str> = next.get(file).into_iter().flatten().copied().collect();
    while let Some(file) = waiting.pop() {
        if found.insert(file) {
            waiting.extend(next.get(file).into_iter().flatten());
        }
    }
    found
}
