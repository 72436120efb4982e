//! What goes wrong while dependencies are installed, and what operators read about it: outputs of uv 0.13, recorded with
//! indexes and proxies of this machine that misbehave, or for certificates and file systems in the same form.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use super::*;

/// Fault, uv's output without its debug lines.
const RECORDED: &[(&str, &str)] = &[
    (
        "proxy refuses, https index",
        "error: Failed to fetch: https://index.example/simple/six/\n  cause: error sending request for url (https://index.example/simple/six/)\n  cause: client error (Connect)\n  cause: tunnel error: proxy authorization required",
    ),
    (
        "proxy refuses, http index",
        "error: Failed to fetch: http://index.example/simple/six/\n  cause: HTTP status client error (407 Proxy Authentication Required) for url (http://index.example/simple/six/)",
    ),
    (
        "mirror out of reach",
        "error: Failed to fetch: http://127.0.0.1:9/simple/six/\n  cause: error sending request for url (http://127.0.0.1:9/simple/six/)\n  cause: client error (Connect)\n  cause: tcp connect error\n  cause: Connection refused (os error 111)",
    ),
    (
        "mirror without a name in DNS",
        "error: Failed to fetch: http://no-such-host.invalid/simple/six/\n  cause: error sending request for url (http://no-such-host.invalid/simple/six/)\n  cause: client error (Connect)\n  cause: dns error\n  cause: error resolving DNS\n  cause: failed to lookup address information: Name or service not known",
    ),
    (
        "mirror with a foreign certificate",
        "error: Failed to fetch: https://127.0.0.1:18440/simple/six/\n  cause: error sending request for url (https://127.0.0.1:18440/simple/six/)\n  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer",
    ),
    (
        "mirror answers 500",
        "error: Failed to fetch: http://127.0.0.1:18435/simple/six/\n  cause: HTTP status server error (500 Internal Server Error) for url (http://127.0.0.1:18435/simple/six/)",
    ),
    (
        "index without the package",
        "error: No solution found when resolving dependencies\n  cause: Because six was not found in the package registry and you require six==1.16.0, we can conclude that your requirements are unsatisfiable.",
    ),
    (
        "hash of other bytes",
        "Resolved 1 package in 27ms\nerror: Failed to download `six==1.16.0`\n  cause: Hash mismatch for `six==1.16.0`\n\n         Expected:\n           sha256:0000\n\n         Computed:\n           sha256:9647",
    ),
    (
        "damaged file",
        "Resolved 1 package in 21ms\nerror: Failed to download `six==1.16.0`\n  cause: Failed to extract archive: six-1.16.0-py3-none-any.whl\n  cause: ZIP file contains trailing contents after the end-of-central-directory record",
    ),
    (
        "index wants credentials",
        "error: No solution found when resolving dependencies\n  cause: Because six was not found in the package registry and you require six==1.16.0, we can conclude that your requirements are unsatisfiable.\n\nhint: An index URL (http://127.0.0.1:18433/simple) could not be queried due to a lack of valid authentication credentials (401 Unauthorized)",
    ),
    (
        "index refuses credentials",
        "error: No solution found when resolving dependencies\n  cause: Because six was not found in the package registry and you require six==1.16.0, we can conclude that your requirements are unsatisfiable.\n\nhint: An index (http://127.0.0.1:18434/simple) returned a 403 Forbidden error. Check that the index URL is correct and the credentials are valid.",
    ),
    (
        "disk full",
        "error: Failed to download `six==1.16.0`\n  cause: failed to write to file `/data/cwd/.uv-cache/.tmpI4oG4z/six.py`: No space left on device (os error 28)",
    ),
    (
        "no right to write",
        "error: Failed to initialize cache at `/data/cwd/.uv-cache`\n  cause: failed to create directory `/data/cwd/.uv-cache`: Permission denied (os error 13)",
    ),
    (
        "file system without links",
        "error: Failed to install: six-1.16.0-py3-none-any.whl (six==1.16.0)\n  cause: failed to symlink file from /data/cwd/.uv-cache/a to /data/cwd/b: Operation not permitted (os error 1)",
    ),
    (
        "Git repository out of reach",
        "   Updating https://127.0.0.1:9/x/y.git (HEAD)\nerror: Failed to download and build `six @ git+https://127.0.0.1:9/x/y.git`\n  cause: Git operation failed\n  cause: failed to clone into: c/git-v2/db/e6d4c48ddbf3ca03\n  cause: process didn't exit successfully: `/usr/bin/git fetch --force` (exit status: 128)\n         --- stderr\n         fatal: unable to access 'https://127.0.0.1:9/x/y.git/': Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server",
    ),
    (
        "no Git",
        "error: Failed to download and build `six @ git+https://127.0.0.1:9/x/y.git`\n  cause: Git operation failed\n  cause: Git executable not found. Ensure that Git is installed and available.",
    ),
    (
        "withdrawn version of the SDK",
        "error: No solution found when resolving dependencies\n  cause: Because there is no version of dify-plugin==0.7.99 and you require dify-plugin==0.7.99, we can conclude that your requirements are unsatisfiable.",
    ),
    (
        "range without a version",
        "error: No solution found when resolving dependencies\n  cause: Because only the following versions of dify-plugin are available:\n             dify-plugin<0.7.9\n             dify-plugin>0.8.dev0\n         and you require dify-plugin>=0.7.9,<0.8.dev0, we can conclude that your requirements are unsatisfiable.",
    ),
    ("not UTF-8", "error: failed to decode file `requirements.txt`: stream did not contain valid UTF-8"),
    (
        "no wheel, and no compiler",
        "error: Failed to build `thing==1.0`\n  cause: The build backend returned an error\n  cause: Call to `setuptools.build_meta` failed (exit status: 1)\n\n         [stderr]\n         error: command 'gcc' failed: No such file or directory",
    ),
    ("something new", "Segmentation fault"),
];

#[test]
fn faults_and_messages() {
    let variables = [("HTTPS_PROXY", "http://user:secret@proxy:3128"), ("http_proxy", "http://user:secret@proxy:3129")];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).into();
    let mut table = String::new();
    for (fault, output) in RECORDED {
        let mut tail = Tail::default();
        output.lines().filter(|line| !line.trim().is_empty()).for_each(|line| tail.push(line));
        let EnvironmentError { cause, message, .. } =
            failed("failed to install dependencies", ExitStatus::from_raw(256), &tail, &variables);
        assert!(!message.contains("secret"), "{message}");
        writeln!(table, "## {fault}: {cause}\n{message}\n").unwrap();
    }
    insta::assert_snapshot!(table);
}
