//! The master's document in a render: the access it grants, and the permissions of its file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail as tests do")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs the program in the folder of the manifests. Returns its exit code, and its standard output and error.
fn run(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_snmp-operator"))
        .current_dir(repository().join("operator/tests/manifests"))
        .args(args)
        .output()
        .unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code().unwrap(), text(output.stdout) + &text(output.stderr))
}

fn render(files: &[&str], folder: &Path, more: &[&str]) -> String {
    let folder = folder.to_str().unwrap();
    let files: Vec<_> = files.iter().flat_map(|file| ["-f", file]).collect();
    let (code, printed) = run(&[&["render", "-o", folder], &files[..], more].concat());
    assert_eq!(code, 0, "{printed}");
    printed
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_master_can_read_the_document_of_the_contexts() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    let listeners = ["--snmp-listen", "127.0.0.1:161", "--snmp-listen", "[::1]:161", "--agentx-unix", "/run/agentx"];
    render(
        &["shop.yaml"],
        &folder,
        &[&["--format", "mounted", "--agentx-tcp", "127.0.0.1:705"], &listeners[..]].concat(),
    );
    let text = fs::read_to_string(folder.join("snmp-master/master.json")).unwrap();
    insta::assert_snapshot!("master", text);
    master_config::parse_strict(text.as_bytes()).unwrap();
}

#[test]
fn the_secret_holds_the_same_document() {
    let temp = TempDir::new().unwrap();
    let (mounted, manifests) = (temp.path().join("mounted"), temp.path().join("manifests"));
    render(&["shop.yaml"], &mounted, &["--format", "mounted"]);
    let document = fs::read_to_string(mounted.join("snmp-master/master.json")).unwrap();
    render(&["shop.yaml"], &manifests, &[]);
    let secret = fs::read_to_string(manifests.join("snmp-master/secret-snmp-master-0.yaml")).unwrap();
    let encoded = data_encoding::BASE64.encode(document.as_bytes());
    insta::assert_snapshot!("secret", secret.replace(&encoded, "BASE64"));
}

#[test]
fn only_the_owner_can_read_a_file_with_secrets() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    render(&["shop.yaml"], &folder, &["--format", "mounted"]);
    let document = folder.join("snmp-master/master.json");
    assert_eq!(mode(&document), 0o600);
    assert_eq!(mode(&folder.join("acme/snmp-sidecar/subtree.checkout.json")) & 0o444, 0o444);
    assert_eq!(mode(&folder.join("snmp-master")) & 0o555, 0o555);
    fs::set_permissions(&document, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(render(&["shop.yaml"], &folder, &["--format", "mounted"]).starts_with("wrote "));
    assert_eq!(mode(&document), 0o600);
}

#[test]
fn a_second_render_of_the_same_manifests_writes_nothing() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    for format in ["manifests", "mounted"] {
        let first = render(&["shop.yaml"], &folder, &["--format", format]);
        let inode = fs::metadata(&folder).unwrap().ino();
        let second = render(&["shop.yaml"], &folder, &["--format", format]);
        assert_eq!(second, first.replace("wrote ", "unchanged: "));
        assert_eq!(fs::metadata(&folder).unwrap().ino(), inode);
    }
    let others = render(&["shop.yaml"], &folder, &["--format", "mounted", "--snmp-listen", "127.0.0.1:161"]);
    assert!(others.starts_with("wrote "), "{others}");
}

#[test]
fn a_context_that_nobody_can_read_is_reported() {
    let temp = TempDir::new().unwrap();
    let printed = render(&["shop.yaml"], &temp.path().join("out"), &[]);
    let line = "nobody can read the context \"\" from the master: it has no communities and no users\n";
    assert!(printed.ends_with(line), "{printed}");
}

#[test]
fn agentx_over_tcp_is_not_exposed_by_accident() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    let open = ["--agentx-tcp", "0.0.0.0:705"];
    let (code, printed) = run(&[&["render", "-f", "shop.yaml", "-o", folder.to_str().unwrap()], &open[..]].concat());
    assert_eq!(code, 1);
    assert!(printed.contains("listeners.agentxTcp: is not a loopback address"), "{printed}");
    assert!(!folder.exists());
    render(&["shop.yaml"], &folder, &[&open[..], &["--agentx-tcp-exposed"]].concat());
}

#[test]
fn secrets_are_read_from_the_operators_own_namespace_only() {
    let (code, printed) = run(&["check", "-f", "shop.yaml", "--system-namespace", "elsewhere"]);
    assert_eq!(code, 1);
    assert!(
        printed.contains("SnmpContext gold: spec.communities[0].secretRef: there is no Secret elsewhere/gold\n"),
        "{printed}"
    );
}

#[test]
fn the_example_makes_the_other_examples_readable() {
    let temp = TempDir::new().unwrap();
    let folder = temp.path().join("out");
    let examples = repository().join("examples");
    let file = |name: &str| examples.join(name).to_str().unwrap().to_owned();
    let (context, host) = (file("default-context"), file("host/subtree.yaml"));
    let printed = render(&[&context, &host], &folder, &["--format", "mounted"]);
    assert!(!printed.contains("nobody can read"), "{printed}");
    let text = fs::read(folder.join("snmp-master/master.json")).unwrap();
    let document = master_config::parse_strict(&text).unwrap();
    let [context] = &document.contexts[..] else { panic!("{document:?}") };
    assert_eq!((context.name.as_str(), context.communities.len(), context.users.len()), ("", 1, 1));
    assert_eq!(context.grants.len(), 1);
}

#[test]
fn errors_in_secrets_do_not_show_their_values() {
    let temp = TempDir::new().unwrap();
    let start = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let damaged = [
        "stringData: {a: 'tell-no-one}\n",
        "stringData: {a: \"tell-no-one\\q\"}\n",
        "stringData:\n  a: tell-no-one\n b: tell-no-one\n",
        "stringData:\n\ta: tell-no-one\n",
        "stringData: {a: tell-no-one, a: tell-no-one}\n",
        "stringData: {a: !!int tell-no-one}\n",
        "stringData: {a: !!binary tell-no-one}\n",
        "stringData: {a: &tell-no-one}\n  x",
        "stringData: {a: *tell-no-one}\n",
        "stringData: {a: @tell-no-one}\n",
        "stringData: {a: %tell-no-one}\n",
        "stringData: {a: tell-no-one: tell-no-one}\n",
        "stringData: {a: tell-no-one]\n",
        "data: {a: tell-no-one}\n",
        "data: {a: [tell-no-one]}\n",
        "data: tell-no-one\n",
        "stringData: {a: |tell-no-one}\n",
        "stringData: {a: \u{1}tell-no-one}\n",
    ];
    for text in damaged {
        let file = temp.path().join("secret.yaml");
        fs::write(&file, format!("{start}{text}")).unwrap();
        let (code, printed) = run(&["check", "-f", file.to_str().unwrap()]);
        assert_eq!(code, 1, "{text}: {printed}");
        assert!(!printed.contains("tell-no-one"), "{text}: {printed}");
    }
}
