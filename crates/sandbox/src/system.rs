//! What programs need of a system: libraries, public configuration, devices.

use std::path::{Path, PathBuf};

/// Programs and libraries.
const PROGRAMS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/run/current-system",
    "/snap",
];

/// What libraries read of the kernel. Landlock itself keeps the memory and environment of other processes closed.
const KERNEL: &[&str] = &[
    "/proc",
    "/sys/devices",
    "/sys/class",
    "/sys/bus",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/sys/kernel/mm/hugepages",
];

/// Of `/etc`, what names hosts, users, certificates, time zones, fonts, libraries and file types. A Landlock rule cannot
/// leave anything out of a folder, so folders with keys in them are not named themselves.
const CONFIGURATION: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "environment",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "ImageMagick-6",
    "ImageMagick-7",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "libreoffice",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "machine-id",
    "magic",
    "mime.types",
    "mtab",
    "networks",
    "nsswitch.conf",
    "ODBC",
    "odbc.ini",
    "odbcinst.ini",
    "freetds",
    "OpenCL",
    "os-release",
    "papersize",
    "passwd",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "profile",
    "protocols",
    "python3",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "redhat-release",
    "alpine-release",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
    "vulkan",
    "xattr.conf",
    "X11/fonts",
];

/// Where `/etc/resolv.conf` leads to, replaced as a file when the network changes; further data of packages.
const VARIABLE: &[&str] = &[
    "/run/systemd/resolve",
    "/run/NetworkManager/resolv.conf",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/nscd",
    "/var/cache/fontconfig",
    "/var/lib/ca-certificates",
    "/var/lib/dbus/machine-id",
    "/usr/share",
];

/// Devices that every program may use. The second half are accelerators.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/dri",
    "/dev/kfd",
    "/dev/dxg",
    "/dev/accel",
];
/// The beginnings of further names of devices.
const DEVICE_NAMES: &[&str] = &["nvidia", "davinci", "hisi_hdc", "devmm_svm"];

/// Files and folders that programs may read on any system, those that exist here.
pub fn readable() -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let configuration = CONFIGURATION.iter().map(|name| etc.join(name));
    let others = PROGRAMS.iter().chain(KERNEL).chain(VARIABLE).map(PathBuf::from);
    others.chain(configuration).filter(|path| path.exists()).collect()
}

/// Devices that programs may use, those that exist here.
pub fn devices() -> Vec<PathBuf> {
    let named = std::fs::read_dir("/dev").into_iter().flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        DEVICE_NAMES.iter().any(|start| name.to_string_lossy().starts_with(start))
    });
    let fixed = DEVICES.iter().map(PathBuf::from).filter(|path| path.exists());
    fixed.chain(named.map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_with_secrets_is_readable() {
        let readable = readable();
        for secret in ["/etc/shadow", "/etc/ssl/private/key.pem", "/root/.ssh/id_rsa", "/home/u/file", "/var/lib/x"] {
            assert!(!readable.iter().any(|path| Path::new(secret).starts_with(path)), "{secret}");
        }
        assert!(readable.contains(&"/usr".into()) && devices().contains(&"/dev/null".into()));
    }
}
