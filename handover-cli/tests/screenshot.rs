//! The program that draws the pictures of the documents.
#![cfg(unix)]

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

/// What it draws of a command.
fn picture(name: &str, arguments: &[&str], command: &str) -> String {
    let path = std::env::temp_dir().join(format!("handover-{name}-{}.svg", process::id()));
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root).args(["run", "--quiet", "--package", "handover-cli", "--example", "screenshot", "--"]);
    let output = cargo.arg(&path).args(arguments).args(["--", "bash", "-c", command]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let svg = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    svg
}

#[test]
fn what_a_terminal_shows_is_in_the_picture() {
    let svg = picture("colours", &["--size", "40x10"], r"printf 'plain <\e[31;1mred\e[0m\e[38;5;208morange\e[0m ██▌'");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains(">plain</text>") && svg.contains("&lt;"), "{svg}");
    assert!(svg.contains("fill=\"#f0707a\" font-weight=\"bold\">red</text>"), "{svg}");
    assert!(svg.contains("fill=\"#ff8700\">orange</text>"), "{svg}");
    // Two and a half columns: a bar has no gaps in any font.
    assert_eq!(svg.matches("height=\"18.00\"").count(), 3, "{svg}");
    assert!(svg.contains("width=\"4.20\""), "{svg}");
    // One line, however many the terminal has.
    assert!(svg.contains("height=\"72\""), "{svg}");
}

#[test]
fn keys_are_typed_before_the_picture_is_taken() {
    let svg = picture("keys", &["--keys", "hello\r", "--title", "asked & answered"], "read -r word; echo got $word");
    assert!(svg.contains(">got</text>") && svg.contains("asked &amp; answered"), "{svg}");
}
