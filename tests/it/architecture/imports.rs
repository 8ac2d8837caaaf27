//! Reads the imports of a source tree: every path, in `use`, in code and in macros.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Item, ItemMacro, ItemUse, UseTree};

/// The name by which `main.rs` knows the library.
const LIBRARY: &str = "concierge_sandbox";

/// Source texts by path below `src/`.
pub type Sources = BTreeMap<String, String>;

/// An import: the file it stands in, the imported file, and the path as written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub to: String,
    pub path: String,
}

/// A source tree: its modules, its exported macros, and the imports of each file.
pub struct Tree {
    /// Path of each module, to its file.
    modules: BTreeMap<Vec<String>, String>,
    /// Name of each `#[macro_export]` macro, to its file.
    macros: BTreeMap<String, String>,
    /// Imports of each file.
    imports: BTreeMap<String, BTreeSet<Import>>,
}

impl Tree {
    /// Reads all files of a tree.
    pub fn read(sources: &Sources) -> Self {
        let files: Vec<(&String, syn::File)> = sources.iter().map(|(file, text)| (file, parse(file, text))).collect();
        let modules = files.iter().map(|(file, _)| (module_of(file), (*file).clone())).collect();
        let exported =
            files.iter().flat_map(|(file, syntax)| exported_macros(syntax).map(|name| (name, (*file).clone())));
        let mut tree = Self { modules, macros: exported.collect(), imports: BTreeMap::new() };
        let imports = files.iter().map(|(file, syntax)| ((*file).clone(), tree.imports_of(file, syntax))).collect();
        tree.imports = imports;
        tree
    }

    /// Returns every import between two files.
    pub fn imports(&self) -> BTreeSet<Import> {
        self.imports.values().flatten().cloned().collect()
    }

    /// Returns every import between two files, if one file had this text.
    pub fn imports_with(&self, file: &str, text: &str) -> BTreeSet<Import> {
        let other = self.imports.iter().filter(|(other, _)| *other != file).flat_map(|(_, imports)| imports.clone());
        other.chain(self.imports_of(file, &parse(file, text))).collect()
    }

    fn imports_of(&self, file: &str, syntax: &syn::File) -> BTreeSet<Import> {
        let mut reader = Reader::new(self, file);
        reader.visit_file(syntax);
        reader.imports
    }
}

fn parse(file: &str, text: &str) -> syn::File {
    syn::parse_file(text).unwrap_or_else(|error| panic!("{file} does not parse: {error}"))
}

fn module_of(file: &str) -> Vec<String> {
    let path = file.strip_suffix(".rs").unwrap();
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let path = if path == "lib" { "" } else { path };
    path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn exported_macros(syntax: &syn::File) -> impl Iterator<Item = String> {
    let is_exported = |item: &&ItemMacro| item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
    let macros = syntax.items.iter().filter_map(|item| if let Item::Macro(item) = item { Some(item) } else { None });
    macros.filter(is_exported).filter_map(|item| item.ident.as_ref().map(ToString::to_string))
}

/// Collects the imports of one file.
struct Reader<'a> {
    tree: &'a Tree,
    file: &'a str,
    module: Vec<String>,
    /// Modules in scope by a `use`, and child modules: name to module path.
    names: BTreeMap<String, Vec<String>>,
    imports: BTreeSet<Import>,
}

impl<'a> Reader<'a> {
    fn new(tree: &'a Tree, file: &'a str) -> Self {
        let module = if file == "main.rs" { Vec::new() } else { module_of(file) };
        let children = tree.modules.keys().filter(|child| child.split_last().is_some_and(|(_, above)| above == module));
        let names = children.map(|child| (child.last().unwrap().clone(), child.clone())).collect();
        Self { tree, file, module, names, imports: BTreeSet::new() }
    }

    /// The path from the crate's root; `None` for a path into another crate, or to a local name.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            LIBRARY if self.file == "main.rs" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module.split_last()?.1.to_vec(),
            name => self.names.get(name)?.clone(),
        };
        for segment in rest {
            if segment == "super" {
                base.pop();
            } else if segment != "self" {
                base.push(segment.clone());
            }
        }
        Some(base)
    }

    fn is_module(&self, path: &[String]) -> bool {
        self.tree.modules.contains_key(path)
    }

    /// The file that defines an item: that of the longest path that is a module, or of an exported macro.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        if let [name] = path
            && let Some(file) = self.tree.macros.get(name)
        {
            return Some(file);
        }
        (1..=path.len()).rev().find_map(|length| self.tree.modules.get(&path[..length])).map(String::as_str)
    }

    fn record(&mut self, path: &[String]) {
        let Some(absolute) = self.absolute(path) else { return };
        let Some(to) = self.file_of(&absolute) else { return };
        if to != self.file {
            let import = Import { from: self.file.to_owned(), to: to.to_owned(), path: path.join("::") };
            self.imports.insert(import);
        }
    }

    fn read_use(&mut self, tree: &UseTree, above: &[String]) {
        let with = |name: &syn::Ident| [above, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.read_use(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.read_leaf(&with(&name.ident), None),
            UseTree::Rename(rename) => self.read_leaf(&with(&rename.ident), Some(rename.rename.to_string())),
            UseTree::Glob(_) => self.record(above),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.read_use(item, above)),
        }
    }

    /// A module that is brought into scope counts where its name is used: that path says which file is meant.
    fn read_leaf(&mut self, path: &[String], name: Option<String>) {
        match self.absolute(path) {
            Some(absolute) if self.is_module(&absolute) => {
                let name = name.or_else(|| absolute.last().cloned()).unwrap_or_default();
                self.names.insert(name, absolute);
            }
            _ => self.record(path),
        }
    }

    /// Paths in the tokens of a macro, which `syn` doesn't read.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Group(group) => {
                    if colons == 2 && group.delimiter() == Delimiter::Brace {
                        let nested: UseTree = syn::parse2(TokenStream::from(TokenTree::Group(group))).unwrap();
                        self.read_use(&nested, &path);
                        path.clear();
                    } else {
                        self.end_path(&mut path);
                        self.read_tokens(group.stream());
                    }
                    colons = 0;
                }
                _ => {
                    self.end_path(&mut path);
                    colons = 0;
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.record(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        // imports first: they may stand behind the code that uses their names
        for item in &file.items {
            if let Item::Use(item) = item {
                self.read_use(&item.tree, &[]);
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.read_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 {
            self.record(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.read_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}
