//! What the documentation tells people to type must be understood.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::args::Cli;

fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let pages = pages.chain([root.join("README.md")]);
    pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The command lines of mapprof in fenced blocks, with those that go on joined.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let block = block.split_once('\n').map_or("", |(_, block)| block).replace("\\\n", " ");
        for line in block.lines() {
            let line = line.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
            if let Some(rest) = line.strip_prefix("mapprof ")
                && !rest.starts_with(' ')
            {
                commands.push(format!("mapprof {rest}"));
            }
        }
    }
    commands
}

/// As a shell would, up to what is another command's.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('|' | '>' | '#' | '&' | ';', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_in_the_documentation_is_understood() {
    let (mut understood, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        for command in commands(&page) {
            match Cli::try_parse_from(words(&command)) {
                Ok(_) => understood += 1,
                // Files that the reader is to write are not there.
                Err(error) if command.contains("--config") => {
                    assert!(error.to_string().contains("No such file"), "{command}: {error}");
                }
                Err(error) => wrong.push(format!("{}: {command}\n{error}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 20, "only {understood} commands were found");
}

#[test]
fn words_are_a_shells() {
    assert_eq!(words("a --b 'c d' | e"), ["a", "--b", "c d"]);
    assert_eq!(words("a \"b\" > c"), ["a", "b"]);
}
