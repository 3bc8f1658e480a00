//! The house has floors, and an import runs downwards only; `docs/architecture.md` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Top to bottom. Rooms of one floor may use each other, and never in a circle.
const FLOORS: [&[&str]; 7] = [
    &["main", "cli"],
    &["http", "web", "gateway", "demo"],
    &["desk"],
    &["audit", "secrets", "delivery", "auth"],
    &["store"],
    &["policy", "proof"],
    &["model"],
];

/// What any room may use.
const FOR_ALL: [&str; 5] = ["clock", "config", "listen", "stop", "telemetry"];

/// What the browser's library is made of too: no server, no database, no clock.
const PURE: [&str; 3] = ["model", "policy", "proof"];
const NOT_PURE: [&str; 9] =
    ["sqlx", "axum", "tokio", "reqwest", "rand", "std::fs", "std::net", "std::env", "SystemTime"];

/// A use of one room by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    from: String,
    to: String,
    place: String,
}

/// A line of code that is not for tests.
struct Line {
    room: String,
    place: String,
    code: String,
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

/// The folder in which the modules of a file are.
fn home_of_modules(file: &Path) -> PathBuf {
    let stem = file.file_stem().unwrap();
    let folder = file.parent().unwrap();
    if ["mod", "lib", "main"].iter().any(|name| stem == *name) {
        folder.to_owned()
    } else {
        folder.join(stem)
    }
}

/// The code of a text without its comments and without what is for tests only, by line number;
/// and the modules for tests that are in files of their own.
fn code(text: &str) -> (Vec<(usize, String)>, Vec<String>) {
    let (mut lines, mut modules) = (Vec::new(), Vec::new());
    let (mut for_tests, mut path, mut depth) = (false, None, None::<i64>);
    for (nth, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let balance = line.matches('{').count() as i64 - line.matches('}').count() as i64;
        if let Some(open) = &mut depth {
            *open += balance;
            if *open <= 0 {
                depth = None;
            }
            continue;
        }
        if trimmed.starts_with("//") {
            continue;
        }
        if trimmed.starts_with("#[cfg(") && trimmed.contains("test") && !trimmed.contains("not(") {
            for_tests = true;
            continue;
        }
        if for_tests {
            if let Some(file) = trimmed.strip_prefix("#[path = \"") {
                path = Some(file.trim_end_matches("\"]").to_owned());
            }
            if trimmed.starts_with('#') {
                continue;
            }
            for_tests = false;
            let module = trimmed.trim_end_matches(';').rsplit(' ').next().unwrap_or_default();
            if trimmed.contains("mod ") && trimmed.ends_with(';') {
                modules.push(path.take().unwrap_or_else(|| module.to_owned()));
            } else if balance > 0 {
                depth = Some(balance);
            }
            continue;
        }
        lines.push((nth + 1, line.to_owned()));
    }
    (lines, modules)
}

/// Every line of the house that is not for tests.
fn house() -> Vec<Line> {
    let root = source();
    let mut all = Vec::new();
    files(&root, &mut all);
    let mut read = Vec::new();
    let mut for_tests: Vec<PathBuf> = vec![root.join("testing"), root.join("tests")];
    for file in all {
        let (lines, modules) = code(&std::fs::read_to_string(&file).unwrap());
        for module in modules {
            if module.ends_with(".rs") {
                for_tests.push(file.parent().unwrap().join(module));
            } else {
                let home = home_of_modules(&file);
                for_tests.push(home.join(format!("{module}.rs")));
                for_tests.push(home.join(module));
            }
        }
        read.push((file, lines));
    }
    read.retain(|(file, _)| !for_tests.iter().any(|test| file.starts_with(test)));
    let mut house = Vec::new();
    for (file, lines) in read {
        let name = file.strip_prefix(&root).unwrap();
        let first = name.components().next().unwrap().as_os_str().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        for (nth, code) in lines {
            let place = format!("src/{}:{nth}", name.display());
            house.push(Line { room: room.clone(), place, code });
        }
    }
    house
}

/// The names that follow `prefix` in a line: `crate::a::b`, `crate::{a::b, c}`.
fn names_after(prefix: &str, code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => names.push(word(std::mem::take(&mut item).trim())),
                _ => {}
            }
            if depth == 0 && c != ',' {
                item.push(c);
            }
        }
        names.push(word(item.trim()));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Who uses whom, without lib.rs, which only lists the rooms. Groups of imports over several
/// lines are put into one.
fn uses() -> Vec<Use> {
    let known: BTreeSet<&str> =
        FLOORS.iter().flat_map(|floor| floor.iter()).chain(&FOR_ALL).copied().collect();
    let house = house();
    let mut uses = Vec::new();
    let mut nth = 0;
    while nth < house.len() {
        let line = &house[nth];
        let mut text = line.code.clone();
        while text.contains("::{") && text.matches('{').count() > text.matches('}').count() {
            nth += 1;
            let Some(next) = house.get(nth).filter(|next| next.room == line.room) else { break };
            text.push_str(next.code.trim());
            if text.len() > 4000 {
                break;
            }
        }
        nth += 1;
        if line.room == "lib" {
            continue;
        }
        for prefix in ["crate::", "keyturn::"] {
            for to in names_after(prefix, &text) {
                if to != line.room && known.contains(to.as_str()) {
                    let place = line.place.clone();
                    uses.push(Use { from: line.room.clone(), to, place });
                }
            }
        }
    }
    uses
}

/// How far down a room is; what all may use is just above the words of the domain.
fn floor(room: &str) -> usize {
    let found = FLOORS.iter().position(|floor| floor.contains(&room));
    match found {
        Some(floor) => floor,
        None if FOR_ALL.contains(&room) => FLOORS.len() - 1,
        None => panic!("src/{room} is on no floor: say in tests/layers.rs where it belongs"),
    }
}

#[test]
fn every_import_runs_downwards() {
    let uses = uses();
    // The walk sees what is there, or it would protect nothing.
    for (from, to) in [("desk", "audit"), ("desk", "store"), ("audit", "proof"), ("store", "model")]
    {
        assert!(uses.iter().any(|u| u.from == from && u.to == to), "{from} uses {to}");
    }
    let upwards: Vec<String> = uses
        .iter()
        .filter(|u| !FOR_ALL.contains(&u.to.as_str()) && floor(&u.from) > floor(&u.to))
        .map(|u| format!("{}: {} uses {}, which is above it", u.place, u.from, u.to))
        .collect();
    assert!(upwards.is_empty(), "\n{}", upwards.join("\n"));
}

#[test]
fn no_rooms_use_each_other_in_a_circle() {
    let mut edges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for u in uses() {
        edges.entry(u.from).or_default().entry(u.to).or_insert(u.place);
    }
    let mut circles = Vec::new();
    for start in edges.keys() {
        let (mut reached, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(room) = next.pop() {
            for to in edges.get(&room).into_iter().flat_map(BTreeMap::keys) {
                if to == start {
                    circles.push(format!("{start} uses itself: {}", edges[&room][to]));
                } else if reached.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
    }
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn what_the_browser_runs_knows_no_server() {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in house().iter().filter(|line| PURE.contains(&line.room.as_str())) {
        seen.insert(line.room.clone());
        for name in NOT_PURE {
            let word = |text: &str, at: usize| {
                let around = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !around(text[..at].chars().next_back())
                    && !around(text[at + name.len()..].chars().next())
            };
            if line.code.match_indices(name).any(|(at, _)| word(&line.code, at)) {
                found.push(format!("{}: {name}", line.place));
            }
        }
    }
    assert_eq!(seen.len(), PURE.len());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Protects the tests above from seeing nothing.
#[test]
fn imports_are_read_in_all_their_forms() {
    let names = |code| names_after("crate::", code);
    assert_eq!(names("use crate::desk::Desk;"), ["desk"]);
    assert_eq!(names("use crate::{a::{b, c}, d, e::f};"), ["a", "d", "e"]);
    assert_eq!(names("x(crate::a::b(), crate::c)"), ["a", "c"]);
    assert_eq!(names("mycrate::a"), [""; 0]);
    let text = "use a;\n// crate::b\n#[cfg(test)]\nmod tests {\n  use c;\n}\nuse d;\n\
                #[cfg(test)]\n#[path = \"e_tests.rs\"]\nmod e;\n#[cfg(test)]\npub(crate) mod f;";
    let (lines, modules) = code(text);
    assert_eq!(lines, [(1, "use a;".to_owned()), (7, "use d;".to_owned())]);
    assert_eq!(modules, ["e_tests.rs", "f"]);
}
