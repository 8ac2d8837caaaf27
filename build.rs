//! Embedded migrations are read again when one is added.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
