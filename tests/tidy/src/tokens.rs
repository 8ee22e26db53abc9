//! What a source says, seen as tokens: paths, macro calls, imports and regions that exist only for tests.
//!
//! Looking at tokens instead of text means that comments and string literals never match; looking at tokens instead of
//! the syntax tree means that the bodies of macros are seen as well. Only imports and test regions come from the tree.

use alloc::collections::BTreeMap;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// A path in the source, `a::b::c`, as far as it consists of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The names.
    pub names: Vec<String>,
    /// Whether `!` follows: a macro call.
    pub is_macro: bool,
    /// The line of its first name, counted from one.
    pub line: usize,
}

/// Every path in a stream of tokens, in order of appearance. A single name is a path of one.
#[must_use]
pub fn paths(stream: TokenStream) -> Vec<Path> {
    let mut found = Vec::new();
    collect_paths(stream, &mut found);
    found
}

fn collect_paths(stream: TokenStream, found: &mut Vec<Path>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        if let TokenTree::Group(group) = token {
            collect_paths(group.stream(), found);
        } else if let TokenTree::Ident(first) = token {
            let mut names = vec![first.to_string()];
            while let Some(name) = name_after_colons(&tokens, at) {
                names.push(name);
                at += 3;
            }
            let is_macro = is_punct(&tokens, at, '!') && !is_punct(&tokens, at + 1, '=');
            found.push(Path {
                names,
                is_macro,
                line: first.span().start().line,
            });
        }
    }
}

fn name_after_colons(tokens: &[TokenTree], at: usize) -> Option<String> {
    if !(is_punct(tokens, at, ':') && is_punct(tokens, at + 1, ':')) {
        return None;
    }
    if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
        Some(name.to_string())
    } else {
        None
    }
}

fn is_punct(tokens: &[TokenTree], at: usize, wanted: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// One name brought in by `use`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The full path; its last name is `*` for a glob.
    pub names: Vec<String>,
    /// What the source calls it.
    pub alias: String,
    /// The line of the `use`, counted from one.
    pub line: usize,
}

/// Every name that `use` brings in, at any depth of the file.
#[must_use]
pub fn imports(file: &syn::File) -> Vec<Import> {
    let mut visitor = Imports::default();
    visitor.visit_file(file);
    visitor.found
}

/// `path` with its first name replaced by what the imports say it stands for.
#[must_use]
pub fn expand(path: &[String], imports: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    match path.first().and_then(|first| imports.get(first)) {
        Some(full) => full.iter().chain(&path[1..]).cloned().collect(),
        None => path.to_vec(),
    }
}

#[derive(Default)]
struct Imports {
    found: Vec<Import>,
}

impl Imports {
    fn flatten(&mut self, tree: &syn::UseTree, prefix: &[String], line: usize) {
        match tree {
            syn::UseTree::Path(path) => {
                let longer = [prefix, &[path.ident.to_string()]].concat();
                self.flatten(&path.tree, &longer, line);
            }
            syn::UseTree::Name(name) => self.add(prefix, &name.ident.to_string(), None, line),
            syn::UseTree::Rename(rename) => {
                self.add(
                    prefix,
                    &rename.ident.to_string(),
                    Some(rename.rename.to_string()),
                    line,
                );
            }
            syn::UseTree::Glob(_) => self.add(prefix, "*", None, line),
            syn::UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|item| self.flatten(item, prefix, line)),
        }
    }

    fn add(&mut self, prefix: &[String], name: &str, rename: Option<String>, line: usize) {
        let mut names = prefix.to_vec();
        if name != "self" {
            names.push(name.to_owned());
        }
        let alias = rename.or_else(|| names.last().cloned()).unwrap_or_default();
        self.found.push(Import { names, alias, line });
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.flatten(&item.tree, &[], item.use_token.span.start().line);
    }
}

/// First and last line of every module and function that exists only for tests.
#[must_use]
pub fn test_regions(file: &syn::File) -> Vec<(usize, usize)> {
    let mut visitor = TestRegions::default();
    visitor.visit_file(file);
    visitor.found
}

#[derive(Default)]
struct TestRegions {
    found: Vec<(usize, usize)>,
}

impl TestRegions {
    fn add(&mut self, attributes: &[syn::Attribute], first: proc_macro2::Span, last: proc_macro2::Span) {
        if attributes.iter().any(is_for_tests) {
            self.found.push((first.start().line, last.end().line));
        }
    }
}

impl<'ast> Visit<'ast> for TestRegions {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if let Some((braces, _)) = &item.content {
            self.add(&item.attrs, item.mod_token.span, braces.span.close());
        }
        syn::visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(
            &item.attrs,
            item.sig.fn_token.span,
            item.block.brace_token.span.close(),
        );
        syn::visit::visit_item_fn(self, item);
    }
}

/// `#[test]`, `#[anything::test]` or `#[cfg(test)]`.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("cfg") {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let names = paths(list.tokens.clone());
        return names.iter().any(|path| path.names == ["test"])
            && names.iter().all(|path| path.names != ["not"]);
    }
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Vec<String> {
        let stream: TokenStream = source.parse().expect("tokens");
        let shown = |path: &Path| {
            format!(
                "{}{}",
                path.names.join("::"),
                if path.is_macro { "!" } else { "" }
            )
        };
        paths(stream).iter().map(shown).collect()
    }

    #[test]
    fn paths_are_seen_inside_macros_but_not_in_text() {
        let source = "fn f() { assert!(a::b::c(x != y), \"d::e\"); /* g::h */ }";
        assert_eq!(names(source), ["fn", "f", "assert!", "a::b::c", "x", "y"]);
    }

    #[test]
    fn imports_are_flattened_and_renames_are_resolved() {
        let file = syn::parse_file("use a::{self, b as c, d::*};\nmod m { use e::f; }").expect("valid");
        let found = imports(&file);
        let shown: Vec<_> = found
            .iter()
            .map(|i| (i.names.join("::"), i.alias.as_str(), i.line))
            .collect();
        let expected = [
            ("a", "a", 1),
            ("a::b", "c", 1),
            ("a::d::*", "*", 1),
            ("e::f", "f", 2),
        ];
        assert_eq!(
            shown,
            expected.map(|(path, alias, line)| (path.to_owned(), alias, line))
        );

        let by_alias = found.into_iter().map(|i| (i.alias, i.names)).collect();
        assert_eq!(expand(&["c".into(), "x".into()], &by_alias), ["a", "b", "x"]);
        assert_eq!(expand(&["other".into()], &by_alias), ["other"]);
    }

    #[test]
    fn test_regions_cover_modules_and_functions() {
        let source =
            "#[cfg(test)]\nmod tests {\n}\n#[cfg(not(test))]\nmod a {\n}\n#[tokio::test]\nfn t() {\n}\n";
        let file = syn::parse_file(source).expect("valid");
        assert_eq!(test_regions(&file), [(2, 3), (8, 9)]);
    }
}
