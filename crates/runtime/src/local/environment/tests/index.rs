//! Installs whose index does not deliver.

use super::*;

const PROJECT: (&str, &str) = ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndependencies = ['six']\n");
const LOCK: (&str, &str) = ("uv.lock", "version = 1\n");
const UNREACHABLE: &str = "echo 'error: Failed to fetch: http://m/simple/six/'; echo '  cause: error sending request'; \
                           echo '  cause: tcp connect error'; echo '  cause: Connection refused (os error 111)'; exit 2";

/// A daemon with a mirror, whose uv does this when it installs from there; everything else goes well.
fn mirrored(from_mirror: &str) -> Bench {
    let mut bench =
        Bench::new(&format!("case \"$*\" in *'pip sync'*) {from_mirror};; *' export'*) exit 0;; esac; {INSTALL}"));
    bench.settings.mirror_url = Some("http://user:secret@m/simple".into());
    bench
}

/// Prepares a locked plugin; the outcome, and whether the URLs in the lock were asked.
async fn locked(bench: &Bench) -> (Result<Prepared, EnvironmentError>, bool) {
    let outcome = prepare(&bench.environments(), &plugin("x", &[PROJECT, LOCK])).await;
    let asked = bench.calls().iter().any(|call| call.starts_with("sync "));
    (outcome, asked)
}

#[tokio::test]
async fn a_mirror_is_not_left_unless_the_operator_allows_it() {
    let mut bench = mirrored(UNREACHABLE);
    let (outcome, lock_asked) = locked(&bench).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.cause, lock_asked), (Cause::Network, false));
    insta::assert_snapshot!(error.message, @"
    failed to install dependencies from http://****@m/simple: m cannot be reached: Connection refused (os error 111)
    error: Failed to fetch: http://m/simple/six/
      cause: error sending request
      cause: tcp connect error
      cause: Connection refused (os error 111)
    check that the package index can be reached: PIP_MIRROR_URL, HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE
    PIP_MIRROR_FALLBACK=true allows locked packages from the URLs in the lock instead
    ");
    bench.settings.mirror_fallback = true;
    let heard = Mutex::<Vec<String>>::default();
    let progress = |_: Step, detail: &str| heard.lock().unwrap().push(detail.to_owned());
    let (plugin, package) = &plugin("x", &[PROJECT, LOCK]);
    let cancel = CancellationToken::new();
    let request = Request { plugin, package, deadline: None, progress: &progress, cancel: &cancel };
    bench.environments().prepare(request).await.unwrap();
    let said = "from the URLs in the lock, since: failed to install dependencies from http://****@m/simple: m cannot be \
                reached: Connection refused (os error 111)";
    assert!(heard.lock().unwrap().iter().any(|line| line == said), "{heard:?}");
}

#[tokio::test]
async fn other_bytes_than_the_lock_names_are_final() {
    for sign in ["Hash mismatch for `six==1.16.0`", "Failed to extract archive: six-1.16.0.whl"] {
        let mut bench =
            mirrored(&format!("echo 'error: Failed to download `six==1.16.0`'; echo '  cause: {sign}'; exit 1"));
        bench.settings.mirror_fallback = true;
        let (outcome, lock_asked) = locked(&bench).await;
        let error = outcome.unwrap_err();
        assert!(error.message.contains(sign) && !lock_asked, "{error}");
        assert!(error.message.starts_with("failed to install dependencies from http://****@m/simple: "), "{error}");
    }
}

#[tokio::test]
async fn where_the_lock_does_not_help_either_the_mirrors_error_stays() {
    let mut bench = Bench::new(&format!(
        "case \"$*\" in *'pip sync'*) {UNREACHABLE};; 'sync '*) echo 'error: other'; exit 3;; esac"
    ));
    bench.settings.mirror_url = Some("http://m/simple".into());
    bench.settings.mirror_fallback = true;
    let (outcome, lock_asked) = locked(&bench).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.cause, lock_asked), (Cause::Network, true));
    assert!(
        error.message.starts_with("failed to install dependencies from http://m/simple: m cannot be reached"),
        "{error}"
    );
    let last =
        "the URLs in the lock do not help either: failed to install dependencies from http://m/simple: exit status 3";
    assert_eq!(error.message.lines().last(), Some(last));
}

#[tokio::test]
async fn the_versions_that_there_are() {
    let bench = Bench::new(
        "case \"$*\" in *compile*) for last; do :; done; question=$(cat $last); previous=; \
         for word; do [ \"$previous\" = --output-file ] && answer=$word; previous=$word; done; \
         case \"$question\" in *'<'*) echo dify-plugin==0.7.5;; *'>'*) echo dify-plugin==0.8.0;; *) echo dify-plugin==0.10.1;; \
         esac > $answer;; *) echo 'error: No solution found'; \
         echo '  cause: Because there is no version of dify-plugin==0.7.99 and you require dify-plugin==0.7.99, we'; exit 1;; esac",
    );
    let error = prepare(&bench.environments(), &plugin("x", &[("requirements.txt", "dify-plugin==0.7.99\n")])).await;
    let error = error.unwrap_err();
    assert_eq!(error.cause, Cause::Resolve);
    insta::assert_snapshot!(error.message, @"
    failed to install dependencies: there is no version dify-plugin==0.7.99 on the package index; next to it are 0.7.5 and 0.8.0, the newest is 0.10.1
    error: No solution found
      cause: Because there is no version of dify-plugin==0.7.99 and you require dify-plugin==0.7.99, we
    ");
}
