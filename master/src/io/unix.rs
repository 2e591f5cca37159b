//! AgentX over a Unix socket (RFC 2741 section 8.2).

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use master_config::{MAX_SOCKET_PATH, UnixSocket};
use nix::sys::socket::{AddressFamily, SockType, UnixAddr};

use super::{ListenError, bind_to, listen_at, new_socket};

/// The file that maps group names to numbers.
const GROUP_FILE: &str = "/etc/group";

/// The file of a Unix socket. Dropping this removes the file, unless another file has replaced it.
#[derive(Debug)]
pub struct UnixPath {
    path: PathBuf,
    identity: Option<Identity>,
}

/// Device, inode and status change time of a file. A new file may get the inode of a removed one.
type Identity = (u64, u64, i64, i64);

impl Drop for UnixPath {
    fn drop(&mut self) {
        if self.identity.is_some()
            && identity(&self.path) == self.identity
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove the file of the socket");
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// Listens at a path with the configured mode and group. Nobody can connect before these are set.
///
/// A socket file without a listening process is replaced.
///
/// # Errors
/// Returns an error if the path is invalid or in use, if the mode or group is invalid, or if a system call fails.
pub(super) fn bind(socket: &UnixSocket) -> Result<(UnixListener, UnixPath), ListenError> {
    let path = &socket.path;
    if path.as_os_str().as_bytes().len() > MAX_SOCKET_PATH {
        return Err(ListenError::PathTooLong { path: path.clone() });
    }
    let mode = socket.permissions().ok_or_else(|| ListenError::Mode { path: path.clone() })?;
    let group = socket.group.as_deref().map(|group| group_number(path, group)).transpose()?;
    remove_stale(path)?;
    let failed = || ListenError::at("AgentX", path.display());
    let failed_io = |error| ListenError::Io { what: "AgentX", at: path.display().to_string(), error };
    let fd = new_socket(AddressFamily::Unix, SockType::Stream).map_err(failed())?;
    bind_to(&fd, &UnixAddr::new(path).map_err(failed())?).map_err(failed())?;
    let mut file = UnixPath { path: path.clone(), identity: identity(path) };
    if let Some(group) = group {
        chown(path, None, Some(group)).map_err(failed_io)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed_io)?;
    file.identity = identity(path);
    listen_at(&fd).map_err(failed())?;
    Ok((fd.into(), file))
}

fn group_number(path: &Path, group: &str) -> Result<u32, ListenError> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string(GROUP_FILE).unwrap_or_default();
    let unknown = || ListenError::Group { path: path.to_owned(), group: group.to_owned() };
    find_group(&groups, group).ok_or_else(unknown)
}

/// Finds a group's number in the text of a group(5) file: lines of `name:password:number:members`.
fn find_group(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |error| ListenError::Io { what: "AgentX", at: path.display().to_string(), error };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.to_owned() });
    }
    if is_served(path).map_err(failed)? {
        return Err(ListenError::InUse { path: path.to_owned() });
    }
    fs::remove_file(path).map_err(failed)
}

/// Returns whether a process listens at the socket, even if its queue is full.
fn is_served(path: &Path) -> io::Result<bool> {
    let fd = new_socket(AddressFamily::Unix, SockType::Stream)?;
    let stream = UnixStream::from(fd);
    let address = UnixAddr::new(path)?;
    match nix::sys::socket::connect(std::os::fd::AsRawFd::as_raw_fd(&stream), &address) {
        Err(nix::errno::Errno::ECONNREFUSED) => Ok(false),
        Ok(()) | Err(nix::errno::Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(path: PathBuf) -> UnixSocket {
        UnixSocket { path, mode: None, group: None }
    }

    fn permissions(path: &Path) -> (u32, u32) {
        let metadata = fs::metadata(path).unwrap();
        (metadata.mode() & 0o777, metadata.gid())
    }

    #[test]
    fn the_file_has_the_configured_permissions_and_is_removed_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentx.sock");
        let own_group = fs::metadata(dir.path()).unwrap().gid();
        let (listener, file) = bind(&at(path.clone())).unwrap();
        assert_eq!(permissions(&path), (0o660, own_group));
        UnixStream::connect(&path).unwrap();
        drop((listener, file));
        assert!(!path.exists());

        let group = own_group.to_string();
        let socket = UnixSocket { path: path.clone(), mode: Some("0600".to_owned()), group: Some(group) };
        let (_listener, _file) = bind(&socket).unwrap();
        assert_eq!(permissions(&path), (0o600, own_group));
    }

    #[test]
    fn a_socket_without_a_listening_process_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentx.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the file stays");
        let (_listener, _file) = bind(&at(path.clone())).unwrap();
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_socket_of_another_process_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentx.sock");
        let _other = UnixListener::bind(&path).unwrap();
        let error = bind(&at(path.clone())).unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentx.sock");
        fs::write(&path, "precious").unwrap();
        let error = bind(&at(path.clone())).unwrap_err().to_string();
        assert!(error.contains("agentx.sock") && error.contains("not a socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_file_of_another_listener_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentx.sock");
        let (listener, file) = bind(&at(path.clone())).unwrap();
        drop(listener);
        let (_listener, _file) = bind(&at(path.clone())).unwrap();
        drop(file);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_path_that_is_too_long_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let fits = MAX_SOCKET_PATH - dir.path().as_os_str().len() - 1;
        bind(&at(dir.path().join("x".repeat(fits)))).unwrap();
        let error = bind(&at(dir.path().join("x".repeat(fits + 1)))).unwrap_err().to_string();
        assert!(error.contains("at most 107 octets"), "{error}");
    }

    #[test]
    fn an_invalid_mode_is_an_error_that_names_the_path() {
        let socket = UnixSocket { mode: Some("rw".to_owned()), ..at(PathBuf::from("/nowhere/agentx.sock")) };
        assert!(bind(&socket).unwrap_err().to_string().contains("/nowhere/agentx.sock"));
    }

    #[rstest]
    #[case("snmp", Some(161))]
    #[case("adm", Some(4))]
    #[case("broken", None)]
    #[case("sn", None)]
    fn a_group_number_is_found_in_the_group_file(#[case] name: &str, #[case] number: Option<u32>) {
        assert_eq!(find_group("adm:x:4:syslog\nbroken:x\nsnmp:x:161:\n", name), number);
    }

    #[test]
    fn an_unknown_group_is_an_error_that_names_it() {
        let socket = UnixSocket { group: Some("no-such-group".to_owned()), ..at(PathBuf::from("/nowhere/a")) };
        assert!(bind(&socket).unwrap_err().to_string().contains("no-such-group"));
    }
}
