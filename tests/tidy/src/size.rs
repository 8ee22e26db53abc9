//! Size limits: a file has at most 800 lines, a function at most 70 from its signature to its closing brace.
//!
//! Functions are measured in the syntax tree, and by their tokens inside macro calls and macro definitions. Files and
//! functions on the list of [`exceptions`](crate::exceptions) may be as long as the list says, and not shorter either.

use crate::exceptions::{Exception, Subject};
use crate::{TextFile, Violation};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::Visit;

/// Longest file, in lines.
pub const FILE_LINES_MAX: usize = 800;
/// Longest function, in lines.
pub const FUNCTION_LINES_MAX: usize = 70;

/// How long one file or one function is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// What was measured.
    pub subject: Subject,
    /// Where it starts, counted from one.
    pub line: usize,
    /// How many lines it has.
    pub lines: usize,
}

/// Measure all files and the functions in them; sources that do not parse come back as violations.
#[must_use]
pub fn measure(files: &[TextFile]) -> (Vec<Measure>, Vec<Violation>) {
    let (mut measures, mut violations) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| file.is_rust()) {
        let subject = Subject::File(file.path.clone());
        measures.push(Measure {
            subject,
            line: 1,
            lines: file.text.lines().count(),
        });
        match file.parse() {
            Ok(syntax) => {
                let mut functions = Functions {
                    path: &file.path,
                    found: &mut measures,
                };
                functions.visit_file(&syntax);
            }
            Err(violation) => violations.push(violation),
        }
    }
    (measures, violations)
}

/// What is too long and not on the list of exceptions, or longer than the list allows.
#[must_use]
pub fn check(measures: &[Measure], exceptions: &[Exception]) -> Vec<Violation> {
    let too_long = |measure: &&Measure| {
        let excepted = exceptions
            .iter()
            .find(|exception| exception.subject == measure.subject);
        measure.lines > excepted.map_or_else(|| limit(&measure.subject), |exception| exception.lines)
    };
    let violation = |measure: &Measure| {
        let limit = limit(&measure.subject);
        let what = format!(
            "{} has {} lines, at most {limit} are allowed",
            measure.subject, measure.lines
        );
        Violation::new(measure.subject.path(), measure.line, what, "split it by purpose")
    };
    measures.iter().filter(too_long).map(violation).collect()
}

/// The ordinary limit for a file or a function.
#[must_use]
pub fn limit(subject: &Subject) -> usize {
    match subject {
        Subject::File(_) => FILE_LINES_MAX,
        Subject::Function { .. } => FUNCTION_LINES_MAX,
    }
}

struct Functions<'a> {
    path: &'a str,
    found: &'a mut Vec<Measure>,
}

impl Functions<'_> {
    fn add(&mut self, name: String, first: usize, last: usize) {
        let subject = Subject::Function {
            path: self.path.into(),
            name,
        };
        self.found.push(Measure {
            subject,
            line: first,
            lines: last + 1 - first,
        });
    }

    fn add_block(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        self.add(signature.ident.to_string(), first, last);
    }

    /// Functions in tokens that the syntax tree does not look into.
    fn scan(&mut self, stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut open: Option<(String, usize)> = None;
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                if group.delimiter() == Delimiter::Brace
                    && let Some((name, first)) = open.take()
                {
                    self.add(name, first, group.span_close().end().line);
                }
                self.scan(group.stream());
            } else if let TokenTree::Ident(ident) = token
                && ident == "fn"
                && let Some(name) = function_name(&tokens[at + 1..])
            {
                open = Some((name, ident.span().start().line));
            } else if let TokenTree::Punct(punct) = token
                && punct.as_char() == ';'
            {
                open = None;
            }
        }
    }
}

/// The name after `fn`: `name`, or `$name` in a macro definition. A function type has none.
fn function_name(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [TokenTree::Ident(name), ..] => Some(name.to_string()),
        [TokenTree::Punct(dollar), TokenTree::Ident(name), ..] if dollar.as_char() == '$' => {
            Some(format!("${name}"))
        }
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add_block(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add_block(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add_block(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, lines: usize) -> String {
        format!("fn {name}() {{\n{}}}\n", "    ();\n".repeat(lines - 2))
    }

    fn found(text: &str, exceptions: &[Exception]) -> Vec<String> {
        let (measures, violations) = measure(&[TextFile::new("a.rs", text)]);
        assert_eq!(violations, []);
        check(&measures, exceptions)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn fires_on_a_long_function_wherever_it_stands() {
        assert_eq!(found(&function("f", 70), &[]), Vec::<String>::new());
        let long = function("f", 71);
        let expected = |line| {
            format!("a.rs:{line}: function `f` has 71 lines, at most 70 are allowed; split it by purpose")
        };
        assert_eq!(found(&long, &[]), [expected(1)]);
        assert_eq!(found(&format!("impl A {{\n{long}}}\n"), &[]), [expected(2)]);
        assert_eq!(found(&format!("trait A {{\n\n{long}}}\n"), &[]), [expected(3)]);
        assert_eq!(found(&format!("fn g() {{\n{long}}}\n"), &[]).len(), 2);
    }

    #[test]
    fn fires_on_a_long_function_inside_a_macro() {
        let calls = format!("proptest! {{\n#[test]\n{}}}\n", function("f", 71));
        assert_eq!(found(&calls, &[]).len(), 1);
        let definition = format!("macro_rules! m {{ () => {{\n{}}} }}\n", function("$name", 71));
        assert_eq!(found(&definition, &[]).len(), 1);
        let types = format!("m! {{ a: fn(u8) -> u8; b {{\n{}}} }}\n", "x\n".repeat(90));
        assert_eq!(found(&types, &[]), Vec::<String>::new());
    }

    #[test]
    fn fires_on_a_long_file() {
        assert_eq!(found(&"\n".repeat(800), &[]), Vec::<String>::new());
        let violations = found(&"\n".repeat(801), &[]);
        assert_eq!(
            violations,
            ["a.rs:1: file has 801 lines, at most 800 are allowed; split it by purpose"]
        );
    }

    #[test]
    fn exceptions_allow_exactly_what_they_say() {
        let subject = Subject::Function {
            path: "a.rs".into(),
            name: "f".into(),
        };
        let exception = Exception {
            subject,
            lines: 75,
            line: 1,
        };
        assert_eq!(
            found(&function("f", 75), core::slice::from_ref(&exception)),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&function("f", 76), core::slice::from_ref(&exception)).len(),
            1
        );
        assert_eq!(found(&function("g", 71), &[exception]).len(), 1);
    }
}
