//! Rendering of manifests with `snmp-operator render`, and volumes as the kubelet mounts them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{built, run};

/// Renders manifests with `snmp-operator render`. Returns the folder that the sidecars of `namespace` mount.
pub fn render(manifests: &[impl AsRef<OsStr>], namespace: &str, output: &Path) -> Result<PathBuf> {
    render_with(manifests, namespace, output, &[])
}

/// Like [`render`], with further options, such as the addresses on which the master listens.
pub(crate) fn render_with(
    manifests: &[impl AsRef<OsStr>],
    namespace: &str,
    output: &Path,
    options: &[&str],
) -> Result<PathBuf> {
    let mut command = Command::new(built("snmp-operator")?);
    command.args(["render", "--format", "mounted"]).args(options).arg("-o").arg(output);
    for manifest in manifests {
        command.arg("-f").arg(manifest.as_ref());
    }
    run(&mut command)?;
    Ok(output.join(namespace).join("snmp-sidecar"))
}

/// Publishes the files of `content` in the folder `mount` as the kubelet does: each version has a folder, the link
/// `..data` points to the current version and is replaced atomically, and each file is a link through `..data`.
pub fn mount(content: &Path, mount: &Path, version: &str) -> Result<()> {
    let folder = mount.join(format!("..{version}"));
    fs::create_dir_all(&folder)?;
    for file in fs::read_dir(content)? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
        let link = mount.join(file.file_name());
        if !link.is_symlink() {
            symlink(Path::new("..data").join(file.file_name()), link)?;
        }
    }
    let next = mount.join("..data_tmp");
    symlink(format!("..{version}"), &next)?;
    fs::rename(next, mount.join("..data"))?;
    for entry in fs::read_dir(mount)? {
        let link = entry?.path();
        if link.is_symlink() && !link.exists() {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}
