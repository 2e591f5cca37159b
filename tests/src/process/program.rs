//! Programs that the tests run: those of Debian packages, and those that cargo has built beside the running one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail, ensure};

/// Returns the root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Finds a program of a Debian package. The error names the package if the program is missing.
pub fn debian(program: &str, package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let postgresql = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|v| v.path().join("bin"));
    let mut folders: Vec<PathBuf> = postgresql.collect();
    folders.sort();
    folders.reverse();
    folders.extend(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.extend(env::split_paths(&path));
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is missing: apt-get install {package}"))
}

/// Finds a program of this workspace beside the running one. Returns an error if it is older than its sources.
pub fn built(program: &str) -> Result<PathBuf> {
    let file = build_folder()?.join(program);
    let built_at =
        modified(&file).with_context(|| format!("{program} is not built: run `cargo build --bins` first"))?;
    // Cargo writes a makefile rule with the sources of each program beside it.
    let rule = fs::read_to_string(file.with_extension("d")).unwrap_or_default();
    let sources = rule.split_once(": ").map(|(_, sources)| sources).unwrap_or_default();
    for source in sources.split_whitespace() {
        let fresh = modified(Path::new(source)).is_ok_and(|changed_at| changed_at <= built_at);
        ensure!(fresh, "{program} is older than {source}: run `cargo build --bins` first");
    }
    Ok(file)
}

/// Returns the folder in which cargo puts programs.
fn build_folder() -> Result<PathBuf> {
    let running = env::current_exe()?;
    let folder = running.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).context("no target folder")?;
    Ok(folder.to_path_buf())
}

/// Compiles `source` against net-snmp's library and returns the path of the program.
pub(crate) fn compiled(source: &Path) -> Result<PathBuf> {
    let name = source.file_stem().context("the source file has no name")?;
    let program = build_folder()?.join(name).with_extension("compiled");
    // Test runs may compile it at the same time: each writes its own file and moves it there atomically.
    let own = program.with_extension(std::process::id().to_string());
    compile(&[source.to_owned()], &["-o"], &own, "--base-agent-libs")?;
    fs::rename(own, &program)?;
    Ok(program)
}

/// Compiles C with the flags with which net-snmp was built. `libraries` is the option of `net-snmp-config` that prints the
/// libraries to link. The last of `options` is `-o`.
pub fn compile(sources: &[PathBuf], options: &[&str], output: &Path, libraries: &str) -> Result<()> {
    let config = debian("net-snmp-config", "libsnmp-dev")?;
    let flags = |option: &str| -> Result<Vec<String>> {
        let flags = run(Command::new(&config).arg(option))?.stdout;
        Ok(String::from_utf8(flags)?.split_whitespace().map(str::to_owned).collect())
    };
    let mut command = Command::new(debian("gcc", "gcc")?);
    command.args(flags("--base-cflags")?).args(options).arg(output).args(sources).args(flags(libraries)?);
    run(&mut command).map(drop)
}

/// Returns the Python interpreter with the packages of `requirements.txt`, which `make setup` installs.
pub fn python() -> Result<PathBuf> {
    let running = env::current_exe()?;
    let python = running.ancestors().map(|folder| folder.join("venv/bin/python")).find(|file| file.exists());
    python.context("target/venv is missing: run `make setup`")
}

fn modified(file: &Path) -> Result<std::time::SystemTime> {
    Ok(fs::metadata(file)?.modified()?)
}

/// Runs a command to its end. If it fails, the error contains its output.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(output);
    }
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    bail!(
        "{} {}: {}\n{}{}",
        command.get_program().display(),
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
