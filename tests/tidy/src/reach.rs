//! No dead files: every source must be reached through `mod` declarations from the root of a cargo target.
//!
//! Follows the compiler's rules for where a module lives: `name.rs` or `name/mod.rs`, next to a crate root or `mod.rs`
//! and below the folder of any other file; inline modules add a folder; `#[path]`, also inside `#[cfg_attr]`, overrides;
//! `include!` with a literal counts as well.

use crate::{TextFile, Violation};
use alloc::collections::{BTreeMap, BTreeSet};
use syn::visit::Visit;

/// The Rust files among `files` that no root in `roots` reaches.
#[must_use]
pub fn check(files: &[TextFile], roots: &[String]) -> Vec<Violation> {
    let sources: BTreeMap<&str, &TextFile> = files
        .iter()
        .filter(|file| file.is_rust())
        .map(|file| (file.path.as_str(), file))
        .collect();
    let mut reached = BTreeSet::new();
    let mut open: Vec<Module> = roots
        .iter()
        .map(|root| Module {
            path: root.clone(),
            owns_folder: true,
        })
        .collect();
    while let Some(module) = open.pop() {
        let Some(file) = sources.get(module.path.as_str()) else {
            continue;
        };
        // A file that does not parse is reported by other rules.
        if let (true, Ok(syntax)) = (reached.insert(module.clone()), file.parse()) {
            let mut visitor = Declarations::new(&module);
            visitor.visit_file(&syntax);
            open.extend(visitor.found);
        }
    }
    let dead = |path: &&&str| !reached.iter().any(|module| module.path == **path);
    let violation = |path: &&str| {
        Violation::new(
            path,
            1,
            "no target reaches this file",
            "declare it with `mod` or delete it",
        )
    };
    sources.keys().filter(dead).map(violation).collect()
}

/// A source file and how it was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Module {
    path: String,
    /// Whether its modules lie next to it: a crate root, `mod.rs`, or a file named by `#[path]`.
    owns_folder: bool,
}

/// Collects where the modules declared in one file may be.
struct Declarations {
    /// The folder of the file itself.
    file_folder: String,
    /// The folder in which modules declared at this place are looked for.
    folder: String,
    /// Whether this place is inside an inline module.
    is_inline: bool,
    found: Vec<Module>,
}

impl Declarations {
    fn new(module: &Module) -> Self {
        let file_folder = parent(&module.path).to_owned();
        let stem = module.path.trim_end_matches(".rs").to_owned();
        let folder = if module.owns_folder {
            file_folder.clone()
        } else {
            stem
        };
        Self {
            file_folder,
            folder,
            is_inline: false,
            found: Vec::new(),
        }
    }

    fn base(&self) -> &str {
        if self.is_inline {
            &self.folder
        } else {
            &self.file_folder
        }
    }

    fn declare(&mut self, item: &syn::ItemMod) {
        let (paths, is_certain) = path_attributes(&item.attrs);
        for path in &paths {
            self.found.push(Module {
                path: join(self.base(), path),
                owns_folder: true,
            });
        }
        if !is_certain {
            let name = item.ident.to_string();
            let name = name.trim_start_matches("r#");
            self.found.push(Module {
                path: join(&self.folder, &format!("{name}.rs")),
                owns_folder: false,
            });
            self.found.push(Module {
                path: join(&self.folder, &format!("{name}/mod.rs")),
                owns_folder: true,
            });
        }
    }
}

impl<'ast> Visit<'ast> for Declarations {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_none() {
            self.declare(item);
            return;
        }
        let (paths, _) = path_attributes(&item.attrs);
        let inner = match paths.first() {
            Some(path) => join(self.base(), path),
            None => join(&self.folder, &item.ident.to_string()),
        };
        let outer = core::mem::replace(&mut self.folder, inner);
        let was_inline = core::mem::replace(&mut self.is_inline, true);
        syn::visit::visit_item_mod(self, item);
        self.folder = outer;
        self.is_inline = was_inline;
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if call.path.is_ident("include")
            && let Ok(literal) = call.parse_body::<syn::LitStr>()
        {
            self.found.push(Module {
                path: join(&self.file_folder, &literal.value()),
                owns_folder: true,
            });
        }
    }
}

/// The paths that `#[path]` and `#[cfg_attr(…, path = …)]` name, and whether one of them holds in every build.
fn path_attributes(attributes: &[syn::Attribute]) -> (Vec<String>, bool) {
    let (mut paths, mut is_certain) = (Vec::new(), false);
    for attribute in attributes {
        if let syn::Meta::NameValue(pair) = &attribute.meta {
            let before = paths.len();
            paths.extend(path_value(pair));
            is_certain |= paths.len() > before;
        } else if attribute.path().is_ident("cfg_attr")
            && let syn::Meta::List(list) = &attribute.meta
            && let Ok(metas) = list
                .parse_args_with(syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated)
        {
            for meta in metas {
                if let syn::Meta::NameValue(pair) = meta {
                    paths.extend(path_value(&pair));
                }
            }
        }
    }
    (paths, is_certain)
}

fn path_value(pair: &syn::MetaNameValue) -> Option<String> {
    if let (
        true,
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }),
    ) = (pair.path.is_ident("path"), &pair.value)
    {
        return Some(text.value());
    }
    None
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `folder/path` without `.` and `..`.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(files: &[(&str, &str)], roots: &[&str]) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| TextFile::new(*path, *text))
            .collect();
        let roots: Vec<_> = roots.iter().map(|root| (*root).to_owned()).collect();
        check(&files, &roots)
            .into_iter()
            .map(|violation| violation.path)
            .collect()
    }

    #[test]
    fn fires_on_files_that_nothing_declares() {
        let files = [
            ("a/src/lib.rs", "mod used; // mod dead;"),
            ("a/src/used.rs", "mod child;"),
            ("a/src/used/child.rs", ""),
            ("a/src/child.rs", ""),
            ("a/src/dead.rs", "mod too;"),
            ("a/src/dead/too.rs", ""),
            ("a/tests/t.rs", ""),
        ];
        assert_eq!(
            dead(&files, &["a/src/lib.rs"]),
            [
                "a/src/child.rs",
                "a/src/dead.rs",
                "a/src/dead/too.rs",
                "a/tests/t.rs"
            ]
        );
    }

    #[test]
    fn folders_inline_modules_and_functions_are_followed() {
        let files = [
            (
                "a/tests/t/main.rs",
                "mod common; mod outer { mod inner { mod leaf; } } fn f() { mod local; }",
            ),
            ("a/tests/t/common/mod.rs", "mod deep;"),
            ("a/tests/t/common/deep.rs", ""),
            ("a/tests/t/outer/inner/leaf.rs", ""),
            ("a/tests/t/local.rs", ""),
        ];
        assert_eq!(dead(&files, &["a/tests/t/main.rs"]), Vec::<String>::new());
    }

    #[test]
    fn path_attributes_override() {
        let files = [
            (
                "a/src/lib.rs",
                "mod m; #[path = \"../shared/x.rs\"] mod x; #[path = \"other.rs\"] mod gone;",
            ),
            (
                "a/src/m.rs",
                "#[path = \"flat.rs\"] mod flat; mod i { #[path = \"far.rs\"] mod far; }",
            ),
            ("a/src/flat.rs", ""),
            ("a/src/m/i/far.rs", ""),
            ("a/shared/x.rs", "mod next_to_x; include!(\"part.rs\");"),
            ("a/shared/next_to_x.rs", ""),
            ("a/shared/part.rs", ""),
            ("a/src/other.rs", ""),
            ("a/src/gone.rs", ""),
        ];
        assert_eq!(dead(&files, &["a/src/lib.rs"]), ["a/src/gone.rs"]);
        let either = [
            ("l.rs", "#[cfg_attr(loom, path = \"b.rs\")] mod a;"),
            ("a.rs", ""),
            ("b.rs", ""),
            ("c.rs", ""),
        ];
        assert_eq!(dead(&either, &["l.rs"]), ["c.rs"]);
    }
}
