//! Container images made of programs on this machine, without a registry.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Cluster, files::remove_folder, programs, waiting::wait_until};
use crate::process::program::run;

/// The image of pod sandboxes.
pub(super) const PAUSE_IMAGE: &str = "localhost/pause:cluster";
/// The user `nonroot` of distroless images.
const NONROOT: &str = "65532:65532";

/// The builder of an image with one layer.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    files: Vec<(PathBuf, String)>,
    links: Vec<(String, String)>,
    entrypoint: Vec<String>,
    user: String,
}

impl Image {
    /// Returns an empty image with the user 65532. `name` is `localhost/…:tag`, which `imagePullPolicy: IfNotPresent` finds.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: Vec::new(),
            links: Vec::new(),
            entrypoint: Vec::new(),
            user: NONROOT.to_owned(),
        }
    }

    /// Adds a file, or a folder with its content, at a path in the image.
    #[must_use]
    pub fn file(mut self, source: &Path, path: &str) -> Self {
        self.files.push((source.to_owned(), path.to_owned()));
        self
    }

    /// Adds a symbolic link at a path in the image.
    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.links.push((path.to_owned(), target.to_owned()));
        self
    }

    /// Adds a program at a path in the image, and the libraries to which it is linked, at their paths on this machine.
    pub fn program(mut self, source: &Path, path: &str) -> Result<Self> {
        // For a static program, ldd reports that and fails.
        let output = Command::new("ldd").arg(source).output().context("cannot run ldd")?;
        for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
            if !self.files.iter().any(|(_, path)| *path == library) {
                self = self.file(Path::new(&library), &library);
            }
        }
        Ok(self.file(source, path))
    }

    /// Sets the entry point.
    #[must_use]
    pub fn entrypoint(mut self, argv: &[&str]) -> Self {
        self.entrypoint = argv.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// Sets the user, as `uid:gid`.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Writes the image into a folder, as an archive in the format of `docker save`.
    fn write(&self, folder: &Path) -> Result<PathBuf> {
        remove_folder(folder)?;
        let root = folder.join("root");
        for subfolder in ["root/tmp", "root/etc"] {
            fs::create_dir_all(folder.join(subfolder))?;
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nnonroot:x:65532:65532::/tmp:/bin/sh\n")?;
        fs::write(root.join("etc/group"), "root:x:0:\nnonroot:x:65532:\n")?;
        let target_of = |path: &str| -> Result<PathBuf> {
            let target = root.join(path.trim_start_matches('/'));
            fs::create_dir_all(target.parent().context("the file has no parent folder")?)?;
            Ok(target)
        };
        for (source, path) in &self.files {
            let target = target_of(path)?;
            // Links are followed, because their targets may not be in the image.
            run(Command::new("cp").args(["--recursive", "--dereference", "--preserve=mode"]).arg(source).arg(&target))?;
        }
        for (path, target) in &self.links {
            std::os::unix::fs::symlink(target, target_of(path)?)?;
        }
        let layer = folder.join("layer.tar");
        tar(&layer, &root, &["."])?;
        let configuration = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": self.user,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer)?)] },
        });
        fs::write(folder.join("config.json"), configuration.to_string())?;
        let manifest = json!([{ "Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"] }]);
        fs::write(folder.join("manifest.json"), manifest.to_string())?;
        let archive = folder.join("image.tar");
        tar(&archive, folder, &["manifest.json", "config.json", "layer.tar"])?;
        Ok(archive)
    }
}

impl Cluster {
    /// Builds an image and loads it. Containers of an earlier image with this name keep running.
    pub fn load_image(&self, name: &str, files: &[(&Path, &str)], entrypoint: &[&str], user: &str) -> Result<()> {
        let image = Image::new(name).entrypoint(entrypoint).user(user);
        self.load(&files.iter().fold(image, |image, (source, path)| image.file(source, path)))
    }

    /// Loads an image and waits until pods can use it.
    pub fn load(&self, image: &Image) -> Result<()> {
        let name: String = image.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let folder = self.files.path("images").join(name);
        let archive = image.write(&folder)?;
        // The archive may be below /run, which differs on the node, so it is opened outside.
        self.containerd(&["images", "import", &archive.display().to_string()])?;
        fs::remove_dir_all(folder)?;
        let filter = format!("name=={}", image.name);
        wait_until("the image to be known to kubelet", || {
            let images = self.containerd(&["images", "list", &filter])?;
            ensure!(images.contains("io.cri-containerd.image=managed"), "{images}");
            Ok(())
        })
    }

    pub(super) fn load_pause(&self) -> Result<()> {
        let pause = programs::built("pause")?;
        self.load(&Image::new(PAUSE_IMAGE).file(&pause, "/pause").entrypoint(&["/pause"]))
    }
}

/// Returns the libraries that `ldd` prints, by path.
fn libraries(listed: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let named = line.split_once("=>").map_or(line, |(_, path)| path);
        named.split_whitespace().next().filter(|path| path.starts_with('/')).map(str::to_owned)
    };
    listed.lines().filter_map(of_line).collect()
}

/// Returns the architecture of this machine, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn tar(archive: &Path, folder: &Path, files: &[&str]) -> Result<()> {
    let mut command = Command::new("tar");
    command.args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--file"]);
    run(command.arg(archive).arg("--directory").arg(folder).args(files)).map(drop)
}

fn sha256(file: &Path) -> Result<String> {
    let output = run(Command::new("sha256sum").arg(file))?;
    let line = String::from_utf8(output.stdout)?;
    Ok(line.split_whitespace().next().context("sha256sum printed nothing")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_listed_by_their_paths() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(libraries(listed), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(libraries("\tnot a dynamic executable\n"), [""; 0]);
    }
}
