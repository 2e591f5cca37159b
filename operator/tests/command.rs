//! Tests of the program as a process: its output, the files that it writes, and the files that it leaves unchanged.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

struct Output {
    code: i32,
    out: String,
    err: String,
}

fn manifests(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(file)
}

fn start(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snmp-operator"));
    command.current_dir(manifests("")).args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    let output = start(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn run_on(stdin: &str, args: &[&str]) -> Output {
    let mut child = start(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The program can exit before it has read all input, because it can refuse the first byte.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Returns all files in `folder`, at any depth, with their texts.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(tree(&path).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            files.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    files
}

fn render(file: &str, folder: &Path, more: &[&str]) -> Output {
    run(&[&["render", "-f", file, "-o", folder.to_str().unwrap()], more].concat())
}

#[test]
fn manifests_render_to_one_config_map_per_namespace() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    let ended = render("shop.yaml", &folder, &[]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    insta::assert_snapshot!("render_says", ended.out.replace(folder.to_str().unwrap(), "DIR"));
    let files = tree(&folder);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ".snmp-operator",
            "acme/configmap-snmp-sidecar.yaml",
            "default/configmap-snmp-sidecar.yaml",
            "snmp-master/secret-snmp-master-0.yaml",
        ]
    );
    insta::assert_snapshot!("config_map", files["acme/configmap-snmp-sidecar.yaml"]);
}

#[test]
fn a_sidecar_can_read_the_mounted_form() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    let ended = render("shop.yaml", &folder, &["--format", "mounted"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    insta::assert_snapshot!("render_mounted_says", ended.out.replace(folder.to_str().unwrap(), "DIR"));
    let mut files = tree(&folder);
    assert!(files.remove(".snmp-operator").is_some() && files.remove("snmp-master/master.json").is_some());
    for (name, text) in files {
        sidecar_config::parse_strict(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn all_problems_are_listed_and_nothing_is_written() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    let ended = render("wrong.yaml", &folder, &[]);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    insta::assert_snapshot!("refusals", ended.err);
    assert!(!ended.err.contains("tell-no"), "a value of a Secret is printed");
    assert_eq!(tree(temp.path()), BTreeMap::new());
    assert_eq!(run(&["check", "-f", "wrong.yaml"]).err, ended.err, "check and render print different problems");
}

#[test]
fn check_reports_success() {
    let ended = run(&["check", "-f", "shop.yaml"]);
    assert_eq!(
        (ended.code, ended.out.as_str(), ended.err.as_str()),
        (0, "2 subtrees in 2 namespaces: no problems found\n", "")
    );
}

#[test]
fn manifests_are_read_from_standard_input_and_folders() {
    let shop = fs::read_to_string(manifests("shop.yaml")).unwrap();
    assert_eq!(run_on(&shop, &["check", "-f", "-"]).out, "2 subtrees in 2 namespaces: no problems found\n");
    let temp = TempDir::new().unwrap();
    let below = temp.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("shop.yml"), shop).unwrap();
    fs::write(temp.path().join("notes.txt"), "not: [yaml").unwrap();
    fs::write(temp.path().join(".hidden.yaml"), "not: [yaml").unwrap();
    let more = r#"{"apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": {"name": "more", "namespace": "more"},
        "spec": {"oid": "1.3.6.1.4.1.99999.2", "selector": {}, "scalars": [{"name": "one", "oid": "1", "syntax": "Integer32", "value": {"constant": "1"}}]}}"#;
    fs::write(temp.path().join("more.json"), more).unwrap();
    let ended = run(&["check", "-f", temp.path().to_str().unwrap()]);
    assert_eq!(ended.out, "3 subtrees in 3 namespaces: no problems found\n", "{}", ended.err);
}

#[test]
fn inputs_without_subtrees_are_errors() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().to_str().unwrap();
    assert_eq!(
        run(&["check", "-f", folder]).err,
        format!("{folder}: contains no *.yaml, *.yml or *.json file\n1 problem\n")
    );
    let none = run(&["check", "-f", "nowhere.yaml"]);
    assert_eq!(
        (none.code, none.err.as_str()),
        (1, "nowhere.yaml: No such file or directory (os error 2)\n1 problem\n")
    );
    let other = run_on("apiVersion: v1\nkind: Service\n", &["check", "-f", "-"]);
    assert_eq!(other.err, "there is no SnmpSubtree among the manifests (1 objects of other kinds were skipped)\n");
}

#[test]
fn hostile_yaml_is_refused() {
    let line = |name: char, of: char| format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 10].join(", "));
    let bomb: String = ('b'..='i').zip('a'..='h').map(|(name, of)| line(name, of)).collect();
    let bomb = format!("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n{bomb}");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for yaml in [bomb.as_str(), deep.as_str(), "a: *a", "a: !!binary \"\u{1}\"", "\u{0}", "a: .nan", "? [a, b]\n: c"] {
        let ended = run_on(yaml, &["check", "-f", "-"]);
        let start: String = yaml.chars().take(40).collect();
        assert_eq!(ended.code, 1, "{start}");
        assert!(ended.err.ends_with("1 problem\n"), "{start}: {}", ended.err);
    }
}

#[test]
fn a_render_replaces_its_own_files_and_keeps_all_others() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    assert_eq!(render("shop.yaml", &folder, &["--format", "mounted"]).code, 0);
    fs::write(folder.join("acme/snmp-sidecar/secret.fast.token"), "s3cret").unwrap();
    let ended = render("shop.yaml", &folder, &[]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let names: Vec<_> = tree(&folder).into_keys().collect();
    assert_eq!(
        names,
        [
            ".snmp-operator",
            "acme/configmap-snmp-sidecar.yaml",
            "acme/snmp-sidecar/secret.fast.token",
            "default/configmap-snmp-sidecar.yaml",
            "snmp-master/secret-snmp-master-0.yaml",
        ]
    );
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "temporary files are left behind");
}

#[test]
fn a_folder_that_no_render_wrote_is_not_touched() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("thesis.txt"), "years of work").unwrap();
    let ended = render("shop.yaml", temp.path(), &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("is not empty and was not written by an earlier render"), "{}", ended.err);
    assert_eq!(tree(temp.path()).into_keys().collect::<Vec<_>>(), ["thesis.txt"]);
}

#[test]
fn a_render_that_fails_changes_nothing() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    assert_eq!(render("shop.yaml", &folder, &[]).code, 0);
    // A file that the render did not write, where the mounted form needs a folder.
    fs::write(folder.join("acme/snmp-sidecar"), "in the way").unwrap();
    let before = tree(&folder);
    let ended = render("shop.yaml", &folder, &["--format", "mounted"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("in the way; move it. Nothing was changed"), "{}", ended.err);
    assert_eq!(tree(&folder), before);
    let under_a_file = folder.join(".snmp-operator/out");
    assert_eq!(render("shop.yaml", &under_a_file, &[]).code, 1);
    assert_eq!(tree(&folder), before);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "temporary files are left behind");
}

#[test]
fn a_full_disk_changes_nothing() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    assert_eq!(render("shop.yaml", &folder, &["--format", "mounted"]).code, 0);
    let before = tree(&folder);
    // Files cannot grow beyond 1 KiB. A write beyond that fails, as on a full disk.
    let shell = "trap '' XFSZ; ulimit -f 1; exec \"$0\" render -f shop.yaml -o \"$1\"";
    let output = Command::new("sh")
        .current_dir(manifests(""))
        .args(["-c", shell, env!("CARGO_BIN_EXE_snmp-operator"), folder.to_str().unwrap()])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("File too large") && err.contains("nothing was changed"), "{err}");
    assert_eq!(tree(&folder), before);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "temporary files are left behind");
}

#[test]
fn control_characters_in_manifests_are_escaped() {
    let ended = run_on("kind: SnmpSubtree\nmetadata: {name: \"\\e[2Jgone\\r\"}\n", &["check", "-f", "-"]);
    assert!(ended.err.contains(r"SnmpSubtree \u{1b}[2Jgone\r:"), "{}", ended.err);
}

#[test]
fn definitions_are_printed_or_written() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().to_str().unwrap();
    assert_eq!(run(&["crds", "-o", folder]).code, 0);
    let written = tree(temp.path());
    assert_eq!(written.keys().collect::<Vec<_>>(), ["snmpcontexts.yaml", "snmpsubtrees.yaml", "snmptraptargets.yaml"]);
    let printed = run(&["crds"]).out;
    assert!(written.values().all(|yaml| printed.contains(yaml)));
}

#[test]
fn help_texts_are_stable() {
    for command in ["run", "render", "check", "crds"] {
        insta::assert_snapshot!(format!("help_{command}"), run(&[command, "--help"]).out);
    }
    assert_eq!(run(&["render"]).code, 2);
}
